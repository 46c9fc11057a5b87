"""What a PLC sees of a station: signals, the handshake, and the ways they travel (Modbus TCP, OPC UA, 24 V lines)."""

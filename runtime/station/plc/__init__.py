"""What a PLC sees of a station: signals, handshake, and how they travel (Modbus TCP, OPC UA, 24 V lines)."""

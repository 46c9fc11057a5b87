// Images and facts of the review, fetched ahead so that the next one is there when it is asked for.

const KEPT = 12;

export class Gone extends Error {}

// The server has answered that the image cannot be shown: asking again changes nothing.
export class Refused extends Error {}

export class Images {
  constructor() { this.held = new Map(); }

  // Facts and image of an id: a promise of { record, address }. It rejects with Gone where the image was deleted,
  // with Refused where it cannot be shown, with another error where there was no answer.
  get(id, overlay, closeups) {
    const key = `${id} ${overlay} ${closeups}`;
    const held = this.held.get(key);
    const found = held ?? load(id, overlay, closeups);
    if (held) this.held.delete(key);
    else found.catch(() => { if (this.held.get(key) === found) this.held.delete(key); });
    this.held.set(key, found);
    while (this.held.size > KEPT) {
      const [oldest, dropped] = this.held.entries().next().value;
      this.held.delete(oldest);
      dropped.then(({ address }) => URL.revokeObjectURL(address)).catch(() => {});
    }
    return found;
  }
}

async function load(id, overlay, closeups) {
  const signal = AbortSignal.timeout(20000);
  const [facts, image] = await Promise.all([
    fetch(`/api/review/item?id=${encodeURIComponent(id)}`, { signal }),
    fetch(`/review/${id}.jpg?overlay=${overlay ? 1 : 0}&closeups=${closeups ? 1 : 0}`, { signal }),
  ]);
  if (facts.status === 410 || image.status === 410) throw new Gone();
  for (const answer of [facts, image]) {
    if (answer.status === 422) throw new Refused((await answer.json()).message);
    if (!answer.ok) throw new Error(`The server answers ${answer.status}.`);
  }
  const record = await facts.json();
  const address = URL.createObjectURL(await image.blob());
  const decoded = new Image();
  decoded.src = address;
  await decoded.decode();
  return { record, address };
}

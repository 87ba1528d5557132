// What people call parts while they look: kept for the page, written into its address.

/** Names by class and number of the part. */
export class Names {
  constructor() {
    this.given = new Map();
  }

  set(id, index, name) {
    if (name === "") this.given.delete(`${id}.${index}`);
    else this.given.set(`${id}.${index}`, name);
  }

  clear() {
    this.given.clear();
  }

  /** As triples of class, number and name. */
  get all() {
    return [...this.given].map(([key, name]) => [...key.split(".").map(Number), name]);
  }

  /** Write the names onto the parts of answers; `own` keeps the artifact's. */
  give(classes) {
    for (const { id, prototypes = [] } of classes) {
      for (const part of prototypes) {
        part.own ??= part.name;
        part.name = this.given.get(`${id}.${part.index}`) ?? part.own;
      }
    }
  }
}

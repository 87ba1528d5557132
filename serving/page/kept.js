// The visitor's own picture, kept in this browser alone, so that reloading the page keeps it.

const STORE = "pictures";

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function store(mode) {
  const request = indexedDB.open("protohead", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  const base = await settled(request);
  return base.transaction(STORE, mode).objectStore(STORE);
}

/**
 * Keep a picture in place of the one that this tab kept before.
 *
 * @param {File} file
 * @returns {Promise<string | null>} its key in the page's address; null where the browser keeps
 *   nothing, as some do in private windows
 */
export async function keep(file) {
  try {
    const pictures = await store("readwrite");
    const before = sessionStorage.getItem(STORE);
    if (before !== null) pictures.delete(before);
    const key = Math.random().toString(36).slice(2, 10);
    await settled(pictures.put(file, key));
    sessionStorage.setItem(STORE, key);
    return key;
  } catch {
    return null;
  }
}

/** The picture that was kept under a key; null where this browser has none. */
export async function kept(key) {
  try {
    return (await settled((await store("readonly")).get(key))) ?? null;
  } catch {
    return null;
  }
}

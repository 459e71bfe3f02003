// Files in encrypted rooms by the specification: AES-CTR with a key per file, and a hash.
const AES = "AES-CTR";
const COUNTER_BITS = 64;

const unpadded = (bytes) => Buffer.from(bytes).toString("base64").replace(/=+$/, "");

/** Encrypts; returns the bytes to upload, and the `file` object without its `url`. */
export async function encrypt(plain) {
    const key = await crypto.subtle.generateKey({ name: AES, length: 256 }, true, ["encrypt", "decrypt"]);
    // The half for the counter starts at zero.
    const iv = new Uint8Array(16);
    crypto.getRandomValues(iv.subarray(0, 8));
    const data = await crypto.subtle.encrypt({ name: AES, counter: iv, length: COUNTER_BITS }, key, plain);
    const hash = await crypto.subtle.digest("SHA-256", data);
    const jwk = await crypto.subtle.exportKey("jwk", key);
    return { data: Buffer.from(data), file: { v: "v2", key: jwk, iv: unpadded(iv), hashes: { sha256: unpadded(hash) } } };
}

/** Decrypts the download for a `file` object; throws if its hash differs. */
export async function decrypt(data, file) {
    const hash = await crypto.subtle.digest("SHA-256", data);
    if (unpadded(hash) !== file.hashes.sha256.replace(/=+$/, "")) throw new Error("the file's hash differs");
    const key = await crypto.subtle.importKey("jwk", file.key, { name: AES }, false, ["decrypt"]);
    const counter = Buffer.from(file.iv, "base64");
    return Buffer.from(await crypto.subtle.decrypt({ name: AES, counter, length: COUNTER_BITS }, key, data));
}

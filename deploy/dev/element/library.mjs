// Finds the libraries, which lie outside the tree (deploy/build/peers.py): the folder is the first argument.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const READY_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 50;

const require = createRequire(pathToFileURL(`${process.argv[2]}/anywhere.js`));
const load = (name) => import(pathToFileURL(require.resolve(name)));

// Standard output belongs to the protocol; the library says what it does on the console.
for (const level of ["log", "info", "debug", "trace", "warn"]) console[level] = console.error;

export const sdk = await load("matrix-js-sdk");
export const cryptoApi = await load("matrix-js-sdk/lib/crypto-api/index.js");

/** Waits until something is true; throws with `what` if it never is. */
export async function until(condition, what) {
    const end = Date.now() + READY_WITHIN_MS;
    while (!(await condition())) {
        if (Date.now() > end) throw new Error(`not within ${READY_WITHIN_MS} ms: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
}

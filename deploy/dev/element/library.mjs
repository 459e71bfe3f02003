// Imports the libraries from the folder in the first argument, outside the source tree (deploy/build/test_services.py).
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const READY_WITHIN_MS = 20_000;
const POLL_MS = 50;

const require = createRequire(pathToFileURL(`${process.argv[2]}/anywhere.js`));
const load = (name) => import(pathToFileURL(require.resolve(name)));

// Standard output is for the protocol, so the library's console output goes to standard error.
for (const level of ["log", "info", "debug", "trace", "warn"]) console[level] = console.error;

export const sdk = await load("matrix-js-sdk");
export const cryptoApi = await load("matrix-js-sdk/lib/crypto-api/index.js");

/** Waits for a condition; throws an error with `what` when time is up. */
export async function until(condition, what) {
    const end = Date.now() + READY_WITHIN_MS;
    while (!(await condition())) {
        if (Date.now() > end) throw new Error(`not within ${READY_WITHIN_MS} ms: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
}

// A Matrix client on what Element is built on, driven by lines of JSON: `{id, call, ...}` comes, `{id, result}` or
// `{id, error}` goes, and in between `{told, ...}` for what happens. All it knows is in memory.
import { createInterface } from "node:readline";

import { decrypt, encrypt } from "./attachments.mjs";
import { cryptoApi, sdk, until } from "./library.mjs";
import { Verifications } from "./verification.mjs";

let client;
let verifications;
// Events are told in their order, though decrypting one takes longer than the next.
let telling = Promise.resolve();

const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const tell = (told, what) => write({ told, ...what });

async function decryption(event) {
    const info = event.isDecryptionFailure() ? null : await client.getCrypto().getEncryptionInfoForEvent(event);
    return {
        failure: event.isDecryptionFailure() ? (event.decryptionFailureReason ?? "UNKNOWN_ERROR") : "",
        shield: info ? cryptoApi.EventShieldColour[info.shieldColour].toLowerCase() : "",
        shield_reason: info?.shieldReason == null ? "" : cryptoApi.EventShieldReason[info.shieldReason].toLowerCase(),
    };
}

async function report(event, room) {
    const told = { ...event.event, room_id: room };
    if (event.isEncrypted()) {
        await client.decryptEventIfNeeded(event);
        // The relation stays outside of the ciphertext; the content as sent, not as a later edit has made it.
        const relation = event.getWireContent()["m.relates_to"];
        const content = event.isDecryptionFailure() ? event.getWireContent() : event.getOriginalContent();
        told.type = event.isDecryptionFailure() ? "m.room.encrypted" : event.getType();
        told.content = relation ? { ...content, "m.relates_to": relation } : content;
        told.decryption = await decryption(event);
    }
    tell("event", { event: told });
}

const inTurn = (event, room) => {
    telling = telling.then(() => report(event, room)).catch((error) => console.error("an event was not told:", error));
};

const calls = {
    async start({ url, user, token, device, password, isolated, signed }) {
        client = sdk.createClient({ baseUrl: url, userId: user, accessToken: token, deviceId: device });
        await client.initRustCrypto({ useIndexedDB: false });
        const crypto = client.getCrypto();
        crypto.setDeviceIsolationMode(
            isolated ? new cryptoApi.OnlySignedDevicesIsolationMode() : new cryptoApi.AllDevicesIsolationMode(false),
        );
        client.on("event", (event) => event.getRoomId() && inTurn(event, event.getRoomId()));
        client.on("Event.decrypted", (event) => inTurn(event, event.getRoomId()));
        // What passes has no room of its own.
        client.on("RoomMember.typing", (event, member) => inTurn(event, member.roomId));
        client.on("Room.receipt", (event, room) => inTurn(event, room.roomId));
        verifications = new Verifications(client, tell);
        await client.startClient({ initialSyncLimit: 200, pollTimeout: 10_000, disablePresence: true });
        await until(() => client.isInitialSyncComplete(), "the first sync");
        if (signed) {
            const identifier = { type: "m.id.user", user };
            await crypto.bootstrapCrossSigning({
                setupNewCrossSigning: true,
                authUploadDeviceSigningKeys: (request) =>
                    request({ type: "m.login.password", identifier, password }),
            });
        }
        return crypto.getVersion();
    },

    async send({ room, type, content }) {
        await until(() => client.getRoom(room)?.getMyMembership() === "join", `being in ${room}`);
        if (client.getRoom(room).hasEncryptionStateEvent()) {
            await until(() => client.getCrypto().isEncryptionEnabledInRoom(room), `encryption in ${room}`);
        }
        return (await client.sendEvent(room, type, content)).event_id;
    },

    async sendToDevice({ user, device, type, content }) {
        await client.getCrypto().getUserDeviceInfo([user], true);
        await client.encryptAndSendToDevice(type, [{ userId: user, deviceId: device }], content);
    },

    async encryptFile({ data }) {
        const made = await encrypt(Buffer.from(data, "base64"));
        return { data: made.data.toString("base64"), file: made.file };
    },

    async decryptFile({ data, file }) {
        return (await decrypt(Buffer.from(data, "base64"), file)).toString("base64");
    },

    async rotateRoomKey({ room }) {
        await client.getCrypto().forceDiscardSession(room);
    },

    // Asking the server is not enough: the library goes by the devices of those with whom it shares encrypted rooms.
    async know({ user, device }) {
        const crypto = client.getCrypto();
        await until(() => crypto.getDeviceVerificationStatus(user, device), `knowing ${device} of ${user}`);
    },

    async trust({ user, device }) {
        const crypto = client.getCrypto();
        const devices = (await crypto.getUserDeviceInfo([user], true)).get(user) ?? new Map();
        const person = await crypto.getUserVerificationStatus(user);
        const status = device ? await crypto.getDeviceVerificationStatus(user, device) : null;
        return {
            devices: [...devices.keys()],
            verified: person.isCrossSigningVerified(),
            changed: person.needsUserApproval,
            signed: status?.signedByOwner ?? false,
            device_verified: status?.crossSigningVerified ?? false,
        };
    },

    verify: (about) => verifications.ask(about),
    accept: (about) => verifications.accept(about),
    startSas: (about) => verifications.startSas(about),
    confirm: (about) => verifications.confirm(about),
    mismatch: (about) => verifications.mismatch(about),
    cancel: (about) => verifications.cancel(about),
};

async function answer({ id, call, ...about }) {
    try {
        write({ id, result: (await calls[call](about)) ?? null });
    } catch (error) {
        console.error(error);
        write({ id, error: String(error?.message ?? error) });
    }
}

process.on("unhandledRejection", (error) => console.error("unhandled:", error));
for await (const line of createInterface({ input: process.stdin })) answer(JSON.parse(line));
// Whoever drove it has gone; the sync and its timers would keep it alive.
process.exit(0);

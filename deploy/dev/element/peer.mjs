// Matrix client on Element's library, driven by lines of JSON: `{id, call, ...}` is answered by `{id, result}` or
// `{id, error}`; `{notification, ...}` reports events and verifications. Its state is in memory only.
import { createInterface } from "node:readline";

import { decrypt, encrypt } from "./attachments.mjs";
import { cryptoApi, sdk, until } from "./library.mjs";
import { Verifications } from "./verification.mjs";

let client;
let verifications;
// Events are reported in order, although decrypting one may take longer than the next.
let reporting = Promise.resolve();

const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const notify = (notification, fields) => write({ notification, ...fields });

async function decryption(event) {
    const info = event.isDecryptionFailure() ? null : await client.getCrypto().getEncryptionInfoForEvent(event);
    return {
        failure: event.isDecryptionFailure() ? (event.decryptionFailureReason ?? "UNKNOWN_ERROR") : "",
        shield: info ? cryptoApi.EventShieldColour[info.shieldColour].toLowerCase() : "",
        shield_reason: info?.shieldReason == null ? "" : cryptoApi.EventShieldReason[info.shieldReason].toLowerCase(),
    };
}

async function report(event, room) {
    const reported = { ...event.event, room_id: room };
    if (event.isEncrypted()) {
        await client.decryptEventIfNeeded(event);
        // The relation is outside the ciphertext; the content is the original one, not that of a later edit.
        const relation = event.getWireContent()["m.relates_to"];
        const content = event.isDecryptionFailure() ? event.getWireContent() : event.getOriginalContent();
        reported.type = event.isDecryptionFailure() ? "m.room.encrypted" : event.getType();
        reported.content = relation ? { ...content, "m.relates_to": relation } : content;
        reported.decryption = await decryption(event);
    }
    notify("event", { event: reported });
}

const reportInOrder = (event, room) => {
    reporting = reporting.then(() => report(event, room)).catch((error) => console.error("could not report an event:", error));
};

const calls = {
    async start({ url, user, token, device, password, isolated, signed }) {
        client = sdk.createClient({ baseUrl: url, userId: user, accessToken: token, deviceId: device });
        await client.initRustCrypto({ useIndexedDB: false });
        const crypto = client.getCrypto();
        crypto.setDeviceIsolationMode(
            isolated ? new cryptoApi.OnlySignedDevicesIsolationMode() : new cryptoApi.AllDevicesIsolationMode(false),
        );
        client.on("event", (event) => event.getRoomId() && reportInOrder(event, event.getRoomId()));
        client.on("Event.decrypted", (event) => reportInOrder(event, event.getRoomId()));
        // Ephemeral events do not name their room.
        client.on("RoomMember.typing", (event, member) => reportInOrder(event, member.roomId));
        client.on("Room.receipt", (event, room) => reportInOrder(event, room.roomId));
        verifications = new Verifications(client, notify);
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
        const encrypted = await encrypt(Buffer.from(data, "base64"));
        return { data: encrypted.data.toString("base64"), file: encrypted.file };
    },

    async decryptFile({ data, file }) {
        return (await decrypt(Buffer.from(data, "base64"), file)).toString("base64");
    },

    async rotateRoomKey({ room }) {
        await client.getCrypto().forceDiscardSession(room);
    },

    // A query to the server is not enough: the library tracks only users with whom it shares encrypted rooms.
    async know({ user, device }) {
        const crypto = client.getCrypto();
        await until(() => crypto.getDeviceVerificationStatus(user, device), `knowing ${device} of ${user}`);
    },

    async trust({ user, device }) {
        const crypto = client.getCrypto();
        const devices = (await crypto.getUserDeviceInfo([user], true)).get(user) ?? new Map();
        const userStatus = await crypto.getUserVerificationStatus(user);
        const status = device ? await crypto.getDeviceVerificationStatus(user, device) : null;
        return {
            devices: [...devices.keys()],
            verified: userStatus.isCrossSigningVerified(),
            changed: userStatus.needsUserApproval,
            signed: status?.signedByOwner ?? false,
            device_verified: status?.crossSigningVerified ?? false,
        };
    },

    verify: (options) => verifications.ask(options),
    accept: (options) => verifications.accept(options),
    startSas: (options) => verifications.startSas(options),
    confirm: (options) => verifications.confirm(options),
    mismatch: (options) => verifications.mismatch(options),
    cancel: (options) => verifications.cancel(options),
};

async function answer({ id, call, ...options }) {
    try {
        write({ id, result: (await calls[call](options)) ?? null });
    } catch (error) {
        console.error(error);
        write({ id, error: String(error?.message ?? error) });
    }
}

process.on("unhandledRejection", (error) => console.error("unhandled:", error));
for await (const line of createInterface({ input: process.stdin })) answer(JSON.parse(line));
// The parent process has closed the pipe; without this, the sync and its timers would keep Node alive.
process.exit(0);

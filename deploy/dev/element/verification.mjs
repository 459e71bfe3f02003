// Verifications by emoji, requested by either side, to-device or in a room; every step is reported.
import { cryptoApi, until } from "./library.mjs";

const { VerificationPhase, VerificationRequestEvent, VerifierEvent } = cryptoApi;
const SAS = "m.sas.v1";

export class Verifications {
    constructor(client, notify) {
        this.client = client;
        this.notify = notify;
        this.requests = [];
        client.on("crypto.verificationRequestReceived", (request) => this.follow(request));
    }

    /** Requests a verification with a user in a room, or with one of their devices. */
    async ask({ user, device, room }) {
        const crypto = this.client.getCrypto();
        if (room) {
            await until(() => crypto.userHasCrossSigningKeys(user), `knowing the keys of ${user}`);
            return this.follow(await crypto.requestVerificationDM(user, room));
        }
        await until(() => crypto.getDeviceVerificationStatus(user, device), `knowing ${device} of ${user}`);
        return this.follow(await crypto.requestDeviceVerification(user, device));
    }

    async accept({ verification }) {
        await this.requests[verification].request.accept();
    }

    async startSas({ verification }) {
        this.show(verification, await this.requests[verification].request.startVerification(SAS));
    }

    async confirm({ verification }) {
        await this.requests[verification].sas.confirm();
    }

    async mismatch({ verification }) {
        this.requests[verification].sas.mismatch();
    }

    async cancel({ verification }) {
        await this.requests[verification].request.cancel();
    }

    follow(request) {
        const number = this.requests.push({ request }) - 1;
        const change = () => {
            // The other side may start the comparison once both are ready.
            if (request.phase === VerificationPhase.Started && request.verifier) this.show(number, request.verifier);
            this.report(number);
        };
        request.on(VerificationRequestEvent.Change, change);
        change();
        return number;
    }

    show(number, verifier) {
        const entry = this.requests[number];
        if (entry.verifier === verifier) return;
        entry.verifier = verifier;
        verifier.on(VerifierEvent.ShowSas, (sas) => {
            entry.sas = sas;
            this.report(number);
        });
        // The phase shows the outcome; the reason is only logged.
        verifier.verify().catch((error) => console.error("verification ended:", String(error)));
    }

    report(number) {
        const { request, sas } = this.requests[number];
        this.notify("verification", {
            verification: number,
            phase: VerificationPhase[request.phase].toLowerCase(),
            other: request.otherUserId,
            room: request.roomId ?? "",
            mine: request.initiatedByMe,
            emoji: sas?.sas.emoji ?? [],
            decimals: sas?.sas.decimal ?? [],
            code: request.cancellationCode ?? "",
            cancelled_by: request.cancellingUserId ?? "",
        });
    }
}

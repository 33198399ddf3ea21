/** The client of the speech-recognition gateway: live audio in, text out. */

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, type GrpcTransportOptions, Http2SessionManager } from "@connectrpc/connect-node";
import { type AudioItem, Call } from "./call.js";
import { RecognitionError } from "./errors.js";
import {
  type ListModelsResponse,
  type RecognizeResponse,
  SpeechRecognitionService,
  StreamingConfigSchema,
} from "./gen/asrgateway/v1/recognition_pb.js";

export interface ClientOptions {
  /** Sent with every call; without TLS others may read it on the way. */
  readonly apiKey?: string | undefined;
  /** Encrypts the connection; `ca` holds PEM certificates of the authorities to trust, by default those of Node. */
  readonly tls?: { readonly ca?: string | Buffer | undefined } | undefined;
  /** Sent with every call. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Whether a new call continues one that was lost; default: true. */
  readonly reconnect?: boolean | undefined;
  /** How long a call looks for a gateway that answers before it ends with the last error; default: 60 s. */
  readonly giveUpMs?: number | undefined;
  /** How much audio without a final result is kept, to be sent again in a new call; default: 60 s. */
  readonly keepMs?: number | undefined;
  /** Is called before each wait for a new attempt. */
  readonly onRetry?: ((failure: RecognitionError, waitMs: number) => void) | undefined;
  /** Connect's own options; they override the defaults. */
  readonly transport?: Partial<GrpcTransportOptions> | undefined;
}

export interface RecognizeOptions {
  /** Ends the call when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the whole call with DEADLINE_EXCEEDED; default: no limit. */
  readonly timeoutMs?: number | undefined;
}

// A speaker may be silent for long: pings keep proxies from dropping the quiet connection. The gateway accepts one each
// 20 s.
const PINGS = { pingIntervalMs: 60_000, pingTimeoutMs: 20_000 };

/** A connection to one gateway, for any number of calls at the same time. */
export class RecognitionClient {
  readonly #sessions: Http2SessionManager;
  readonly #stub: Client<typeof SpeechRecognitionService>;
  readonly #headers: Record<string, string>;
  readonly #closed = new AbortController();

  /**
   * Connects with the first call.
   *
   * @param target `host:port` of the gateway.
   */
  constructor(
    target: string,
    private readonly options: ClientOptions = {},
  ) {
    this.#headers = { ...options.headers, ...authorization(options.apiKey) };
    const baseUrl = addressOf(target, options.tls !== undefined);
    this.#sessions = new Http2SessionManager(baseUrl, PINGS, options.tls?.ca ? { ca: options.tls.ca } : {});
    this.#stub = createClient(
      SpeechRecognitionService,
      createGrpcTransport({ baseUrl, sessionManager: this.#sessions, ...options.transport }),
    );
  }

  /**
   * Sends audio and receives text; the call begins with the first iteration. After the end of `audio` the last
   * results arrive, then `finished`, then the iteration ends. Leaving the iteration earlier cancels the call.
   *
   * When a call of the gateway is lost, or the gateway is going away, a new one continues it: audio without a final
   * result is sent again, a second `started` arrives, and offsets and indexes go on. Only LINEAR16 is continued.
   *
   * @throws {RecognitionError} The call ended with a status other than OK.
   * @throws What `audio` has thrown; the call is cancelled.
   */
  recognize(
    config: MessageInitShape<typeof StreamingConfigSchema>,
    audio: AsyncIterable<AudioItem> | Iterable<AudioItem>,
    { signal, timeoutMs }: RecognizeOptions = {},
  ): AsyncGenerator<RecognizeResponse, void, undefined> {
    const message = create(StreamingConfigSchema, config);
    toBinary(StreamingConfigSchema, message); // Throws now what would otherwise look like a lost connection.
    const call = new Call(this.#stub, message, {
      headers: this.#headers,
      signal: AbortSignal.any([this.#closed.signal, ...(signal ? [signal] : [])]),
      timeoutMs,
      isContinued: this.options.reconnect ?? true,
      giveUpMs: this.options.giveUpMs ?? 60_000,
      keepMs: this.options.keepMs ?? 60_000,
      onRetry: this.options.onRetry ?? (() => undefined),
    });
    return call.run(audio);
  }

  /** Returns the models and their aliases. */
  async listModels(options: RecognizeOptions = {}): Promise<ListModelsResponse> {
    const { signal = this.#closed.signal, timeoutMs = 0 } = options; // Connect takes 0 for no timeout.
    try {
      return await this.#stub.listModels({}, { headers: this.#headers, signal, timeoutMs });
    } catch (error) {
      throw RecognitionError.from(error);
    }
  }

  /** Closes the connection; open calls end with CANCELLED. */
  close(): void {
    this.#closed.abort();
    this.#sessions.abort();
  }
}

function addressOf(target: string, isEncrypted: boolean): string {
  const address = `${isEncrypted ? "https" : "http"}://${target}`;
  if (!URL.canParse(address) || new URL(address).pathname !== "/" || target.includes("/")) {
    throw new TypeError(`the target must be HOST:PORT, not ${target}`);
  }
  return address;
}

function authorization(key: string | undefined): Record<string, string> {
  if (key === undefined) {
    return {};
  }
  if (!/^[!-~]+$/.test(key)) {
    throw new TypeError("the API key must consist of ASCII letters, digits and signs, without blanks");
  }
  return { authorization: `Bearer ${key}` };
}

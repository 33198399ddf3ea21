/** The error of a call that ends with a status other than OK. */

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/** The codes with which a connection ends that was lost, or never made, before a status came. */
const LOST: ReadonlySet<Code> = new Set([Code.Aborted, Code.Canceled, Code.Internal, Code.Unavailable, Code.Unknown]);

const RETRYABLE: ReadonlySet<Code> = new Set([Code.Canceled, Code.Unavailable]);

export class RecognitionError extends Error {
  override readonly name = "RecognitionError";

  /**
   * @param message What went wrong, in a sentence.
   * @param reason The gateway's name for the cause, or empty.
   * @param field Path of the field to correct, or empty.
   * @param retryAfterMs When to try again; undefined if the gateway does not say.
   * @param metadata More about the cause.
   */
  constructor(
    readonly code: Code,
    message: string,
    readonly reason = "",
    readonly field = "",
    readonly retryAfterMs: number | undefined = undefined,
    readonly metadata: Readonly<Record<string, string>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Reads what ended a call. */
  static from(cause: unknown): RecognitionError {
    const error = ConnectError.from(cause);
    const [info] = error.findDetails(ErrorInfoSchema);
    const [request] = error.findDetails(BadRequestSchema);
    const [retry] = error.findDetails(RetryInfoSchema);
    return new RecognitionError(
      isFromGateway(error) || !LOST.has(error.code) ? error.code : Code.Unavailable,
      error.rawMessage || "the connection to the gateway was lost",
      info?.reason,
      request?.fieldViolations[0]?.field,
      retry && (retry.retryDelay ? durationMs(retry.retryDelay) : 0),
      info?.metadata,
      { cause },
    );
  }

  /** Whether another gateway, or the same one later, may continue the call. */
  get isRetryable(): boolean {
    return RETRYABLE.has(this.code) || (this.code === Code.ResourceExhausted && this.retryAfterMs !== undefined);
  }

  /** gRPC's name of the code, such as `INVALID_ARGUMENT`. */
  get codeName(): string {
    // gRPC writes this one with two L.
    return this.code === Code.Canceled ? "CANCELLED" : Code[this.code].replace(/(?<=.)[A-Z]/g, "_$&").toUpperCase();
  }

  /** Code, message, and the known facts about the cause, in one line. */
  override toString(): string {
    const facts = Object.entries({ field: this.field, reason: this.reason, ...this.metadata })
      .filter(([, value]) => value !== "")
      .map(([name, value]) => `${name}: ${value}`);
    return `${this.codeName}: ${this.message}` + (facts.length > 0 ? ` (${facts.join(", ")})` : "");
  }
}

function isFromGateway(error: ConnectError): boolean {
  return error.metadata.has("grpc-status");
}

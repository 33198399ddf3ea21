export type { AudioItem } from "./call.js";
export { RecognitionClient, type ClientOptions, type RecognizeOptions } from "./client.js";
export { RecognitionError } from "./errors.js";
export * from "./gen/asrgateway/v1/recognition_pb.js";
export { linear16, readWav, type WavStream } from "./wav.js";

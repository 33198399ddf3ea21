package asrgateway.client;

import asrgateway.v1.DecodingConfig;

/** Turns times into bytes of 16-bit audio, and back. */
record AudioFormat(long sampleRateHertz, long frameBytes) {

  static AudioFormat of(DecodingConfig config) {
    return new AudioFormat(
        Math.max(1, config.getSampleRateHertz()), 2L * Math.max(1, config.getAudioChannelCount()));
  }

  /** Returns where the audio of a time begins, in bytes. */
  long place(long milliseconds) {
    return milliseconds * sampleRateHertz / 1000 * frameBytes;
  }

  /** The reverse of {@link #place}; the gateway counts whole milliseconds. */
  long milliseconds(long place) {
    return (place / frameBytes * 1000 + sampleRateHertz - 1) / sampleRateHertz;
  }
}

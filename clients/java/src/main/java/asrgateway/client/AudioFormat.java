package asrgateway.client;

import asrgateway.v1.ChannelMode;
import asrgateway.v1.DecodingConfig;

/**
 * Turns times into bytes of 16-bit audio, and back.
 *
 * @param frameBytes one sample of every channel
 * @param recognizedChannels how many give results, and answers to commits, by themselves
 */
record AudioFormat(long sampleRateHertz, long frameBytes, int recognizedChannels) {

  static AudioFormat of(DecodingConfig config) {
    int channels = Math.max(1, config.getAudioChannelCount());
    boolean isSeparate = config.getChannelMode() == ChannelMode.CHANNEL_MODE_SEPARATE;
    return new AudioFormat(Math.max(1, config.getSampleRateHertz()), 2L * channels, isSeparate ? channels : 1);
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

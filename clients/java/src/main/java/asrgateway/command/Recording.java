package asrgateway.command;

import asrgateway.client.RecognitionCall;
import asrgateway.client.WavFile;
import asrgateway.v1.DecodingConfig;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** A file that can be sent. */
record Recording(DecodingConfig format, InputStream samples, long sampleBytes) {

  private static final int MESSAGES_PER_SECOND = 10;
  private static final long MESSAGE_NANOS = TimeUnit.SECONDS.toNanos(1) / MESSAGES_PER_SECOND;

  /** Opens a WAV file, or standard input under the name {@code -}; it stays open until the program ends. */
  static Recording open(String name, int rate) throws IOException {
    if (name.equals("-")) {
      return new Recording(WavFile.linear16(rate, 1), System.in, Long.MAX_VALUE);
    }
    try {
      var wav = WavFile.read(new BufferedInputStream(Files.newInputStream(Path.of(name))));
      return new Recording(wav.format(), wav.samples(), wav.sampleBytes());
    } catch (NoSuchFileException e) {
      throw new IOException(name + ": no such file", e);
    } catch (IOException e) {
      throw new IOException(name + ": " + e.getMessage(), e);
    }
  }

  /** Sends everything, message n at n tenths of a second after the first one. */
  void sendTo(RecognitionCall call, boolean isFast, CallReport report) throws IOException, InterruptedException {
    int size = Math.max(1, format.getSampleRateHertz() / MESSAGES_PER_SECOND) * 2 * format.getAudioChannelCount();
    long begin = System.nanoTime();
    long left = sampleBytes;
    for (long number = 0; left > 0; number++) {
      byte[] message = samples.readNBytes((int) Math.min(size, left));
      left = message.length < size ? 0 : left - message.length;
      if (!isFast) {
        TimeUnit.NANOSECONDS.sleep(begin + number * MESSAGE_NANOS - System.nanoTime());
      }
      report.sending();
      if (message.length > 0 && !call.send(message)) {
        return;
      }
    }
    report.finishing();
    call.finish();
  }
}

package asrgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import asrgateway.v1.Commit;
import asrgateway.v1.ConfigUpdate;
import asrgateway.v1.RecognizeRequest;
import asrgateway.v1.SpeechAdaptation;
import com.google.protobuf.ByteString;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class KeptAudioTest {

  /** A millisecond has 16 bytes. */
  private static final AudioFormat MONO = new AudioFormat(8_000, 2, 1);

  private static RecognizeRequest audio(int size) {
    return RecognizeRequest.newBuilder().setAudio(ByteString.copyFrom(new byte[size])).build();
  }

  private static RecognizeRequest commit() {
    return RecognizeRequest.newBuilder().setCommit(Commit.getDefaultInstance()).build();
  }

  private static RecognizeRequest update(String context) {
    var adaptation = SpeechAdaptation.newBuilder().setContext(context);
    return RecognizeRequest.newBuilder().setUpdate(ConfigUpdate.newBuilder().setAdaptation(adaptation)).build();
  }

  /** Keeps a second of audio. */
  private static KeptAudio sent(RecognizeRequest... requests) {
    var kept = new KeptAudio(MONO, MONO.place(1_000), 0);
    for (RecognizeRequest request : requests) {
      kept.add(request);
      kept.take();
    }
    return kept;
  }

  /** What a new call would send: sizes of audio, "commit", and the context of updates. */
  private static List<Object> again(KeptAudio kept) {
    kept.rewind();
    var found = new ArrayList<>();
    for (var taken = kept.take(); taken.isPresent(); taken = kept.take()) {
      RecognizeRequest request = taken.get();
      found.add(
          switch (request.getRequestCase()) {
            case AUDIO -> request.getAudio().size();
            case COMMIT -> "commit";
            default -> request.getUpdate().getAdaptation().getContext();
          });
    }
    return found;
  }

  @Test
  void audioWithoutAFinalResultIsSentAgain() {
    assertEquals(List.of(1600, 1600), again(sent(audio(1600), audio(1600))));
  }

  @Test
  void audioBeforeTheEndOfAFinalResultIsDropped() {
    var kept = sent(audio(1600), audio(1600));
    kept.release(MONO.place(150));
    assertEquals(List.of(800), again(kept));
    assertEquals(150, MONO.milliseconds(kept.begin()));
  }

  @Test
  void aCommitStaysUntilItIsAnswered() {
    var kept = sent(audio(1600), commit(), audio(1600), commit());
    kept.release(MONO.place(200));
    assertEquals(List.of("commit", "commit"), again(kept));
    kept.answered(0);
    assertEquals(List.of("commit"), again(kept));
  }

  @Test
  void aCommitThatWasNotSentIsNotAnswered() {
    var kept = sent(audio(1600));
    kept.add(commit());
    kept.answered(0);
    assertEquals(List.of(1600, "commit"), again(kept));
  }

  @Test
  void anUpdateBeforeTheKeptAudioBecomesTheAdaptation() {
    var kept = sent(audio(1600), update("first"), audio(1600), update("second"), audio(1600));
    kept.release(MONO.place(150));
    assertEquals(List.of(800, "second", 1600), again(kept));
    assertEquals(Optional.of("first"), kept.adaptation().map(SpeechAdaptation::getContext));
  }

  @Test
  void anUpdateThatRemovesTheAdaptationCountsToo() {
    var kept = sent(audio(1600), update(""), audio(1600));
    kept.release(MONO.place(150));
    assertEquals(Optional.of(SpeechAdaptation.getDefaultInstance()), kept.adaptation());
  }

  @Test
  void olderAudioThanTheLimitIsDropped() {
    assertEquals(List.of(6400, 9600), again(sent(audio(9600), audio(9600))));
  }

  @Test
  void audioThatWasNotSentIsNeverDropped() {
    var kept = sent(audio(1600));
    kept.add(audio(32000));
    kept.release(MONO.place(60_000));
    assertEquals(32000, kept.unsentBytes());
    assertEquals(1600, kept.begin());
  }

  @Test
  void nothingIsKeptWithoutALimit() {
    var kept = new KeptAudio(MONO, 0, 0);
    kept.add(audio(1601));
    kept.take();
    assertEquals(List.of(), again(kept));
  }

  @Test
  void placesAreWholeMillisecondsAtEveryRate() {
    for (long rate : new long[] {4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000}) {
      var stereo = new AudioFormat(rate, 4, 1);
      for (long milliseconds = 0; milliseconds < 3_000; milliseconds++) {
        assertEquals(milliseconds, stereo.milliseconds(stereo.place(milliseconds)));
      }
    }
  }
}

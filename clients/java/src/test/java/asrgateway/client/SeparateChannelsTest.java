package asrgateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import asrgateway.v1.ChannelMode;
import asrgateway.v1.Commit;
import asrgateway.v1.Cursor;
import asrgateway.v1.DecodingConfig;
import asrgateway.v1.RecognitionResult;
import asrgateway.v1.RecognizeRequest;
import asrgateway.v1.RecognizeResponse;
import asrgateway.v1.StreamEvent;
import asrgateway.v1.StreamEventType;
import asrgateway.v1.StreamingConfig;
import com.google.protobuf.ByteString;
import com.google.protobuf.util.Durations;
import io.grpc.InsecureChannelCredentials;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A call whose two channels are recognised by themselves. */
final class SeparateChannelsTest {

  private static final RecognizeRequest COMMIT =
      RecognizeRequest.newBuilder().setCommit(Commit.getDefaultInstance()).build();

  /** Has sent these requests; a millisecond of audio has 32 bytes, and 100 ms are kept. */
  private static RecognitionCall sent(RecognizeRequest... requests) {
    var decoding =
        DecodingConfig.newBuilder()
            .setSampleRateHertz(8_000)
            .setAudioChannelCount(2)
            .setChannelMode(ChannelMode.CHANNEL_MODE_SEPARATE);
    var minute = Duration.ofMinutes(1);
    var credentials = InsecureChannelCredentials.create();
    var options = new ClientOptions(credentials, "", true, minute, Duration.ofMillis(100), (failure, wait) -> {});
    var config = StreamingConfig.newBuilder().setDecodingConfig(decoding).build();
    var call = new RecognitionCall(null, null, null, options, config);
    call.nextConfig();
    for (RecognizeRequest request : requests) {
      call.kept.add(request);
      call.kept.take();
    }
    return call;
  }

  private static RecognizeRequest audio(int size) {
    return RecognizeRequest.newBuilder().setAudio(ByteString.copyFrom(new byte[size])).build();
  }

  private static RecognizeResponse forced(int channel) {
    var result = RecognitionResult.newBuilder().setIsFinal(true).setForced(true).setChannel(channel);
    return RecognizeResponse.newBuilder().setResult(result).build();
  }

  private static RecognizeResponse event(StreamEventType type, int channel) {
    var event = StreamEvent.newBuilder().setEventType(type).setChannel(channel);
    return RecognizeResponse.newBuilder().setStreamEvent(event).build();
  }

  private static RecognizeResponse empty(int channel) {
    return event(StreamEventType.STREAM_EVENT_TYPE_COMMIT_EMPTY, channel);
  }

  private static RecognizeResponse failed(int channel) {
    return event(StreamEventType.STREAM_EVENT_TYPE_CHANNEL_FAILED, channel);
  }

  /** How many commits a new call would send. */
  private static int commitsAgain(RecognitionCall call) {
    call.kept.rewind();
    int count = 0;
    for (var taken = call.kept.take(); taken.isPresent(); taken = call.kept.take()) {
      count += taken.get().hasCommit() ? 1 : 0;
    }
    return count;
  }

  private static Arguments left(int commits, RecognizeResponse... answers) {
    return Arguments.of(commits, List.of(answers));
  }

  static List<Arguments> answersToTwoCommits() {
    return List.of(
        left(2, forced(0)),
        left(2, forced(0), empty(0)),
        left(1, forced(0), empty(1)),
        left(1, forced(0), forced(0), forced(0), empty(1)),
        left(0, forced(0), forced(0), empty(1), empty(1)),
        left(1, forced(0), failed(1)),
        left(0, forced(0), forced(0), failed(1)),
        left(1, failed(1), forced(0)),
        left(2, failed(0), failed(1)));
  }

  @ParameterizedTest
  @MethodSource("answersToTwoCommits")
  void aCommitStaysUntilEveryChannelHasAnsweredIt(int commits, List<RecognizeResponse> answers) {
    var call = sent(audio(1600), COMMIT, COMMIT);
    answers.forEach(call::letGo);
    assertEquals(commits, commitsAgain(call));
  }

  @Test
  void anAnswerIsOnlyForCommitsThatWereSentBeforeIt() {
    var call = sent(COMMIT);
    List.of(forced(0), forced(0), empty(1)).forEach(call::letGo);
    call.kept.add(COMMIT);
    call.kept.take();
    call.letGo(empty(1));
    assertEquals(1, commitsAgain(call));
  }

  @Test
  void inANewCallEveryChannelAnswersAgain() {
    var call = sent(COMMIT);
    call.letGo(forced(0));
    assertEquals(1, commitsAgain(call));
    call.letGo(empty(1));
    assertEquals(1, commitsAgain(call));
  }

  @Test
  void eachChannelGoesOnAtItsOwnPlaceButNotBeforeTheKeptAudio() {
    var call = sent(audio(1600), audio(3200));
    var cursor =
        Cursor.newBuilder().addChannelFinalized(Durations.fromMillis(120)).addChannelFinalized(Durations.fromMillis(20));
    call.letGo(RecognizeResponse.newBuilder().setCursor(cursor).build());
    var resume = call.nextConfig().getStreamingConfig().getResume();
    assertEquals(Durations.fromMillis(50), resume.getAudioOffset());
    assertEquals(List.of(Durations.fromMillis(120), Durations.fromMillis(50)), resume.getChannelOffsetsList());
  }
}

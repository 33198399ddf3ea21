package asrgateway.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class ClientTest {

  private static RecognitionException refused(Status.Code code) {
    var violation = BadRequest.FieldViolation.newBuilder().setField("streaming_config");
    var delay = com.google.protobuf.Duration.newBuilder().setSeconds(2);
    var status =
        com.google.rpc.Status.newBuilder()
            .setCode(code.value())
            .setMessage("too many calls")
            .addDetails(Any.pack(ErrorInfo.newBuilder().setReason("CALL_LIMIT").putMetadata("limit", "3").build()))
            .addDetails(Any.pack(BadRequest.newBuilder().addFieldViolations(violation).build()))
            .addDetails(Any.pack(RetryInfo.newBuilder().setRetryDelay(delay).build()))
            .build();
    return RecognitionException.of(StatusProto.toStatusException(status));
  }

  @Test
  void anErrorHasTheDetailsOfTheStatus() {
    var error = refused(Status.Code.RESOURCE_EXHAUSTED);
    var facts = "field: streaming_config, reason: CALL_LIMIT, limit: 3";
    assertEquals("RESOURCE_EXHAUSTED: too many calls (" + facts + ")", error.getMessage());
    assertEquals(Optional.of(Duration.ofSeconds(2)), error.retryAfter());
  }

  @Test
  void onlyWhatMayEndByItselfIsTriedAgain() {
    assertTrue(refused(Status.Code.UNAVAILABLE).isRetryable());
    assertTrue(refused(Status.Code.RESOURCE_EXHAUSTED).isRetryable());
    assertFalse(refused(Status.Code.INVALID_ARGUMENT).isRetryable());
    assertFalse(RecognitionException.of(Status.RESOURCE_EXHAUSTED.asException()).isRetryable());
  }

  @Test
  void waitsDoubleUpToFiveSecondsAndObeyTheGateway() {
    assertEquals(Duration.ofMillis(100), RecognitionCall.delay(0, Optional.empty(), 1));
    assertEquals(Duration.ofMillis(50), RecognitionCall.delay(0, Optional.empty(), 0));
    assertEquals(Duration.ofMillis(800), RecognitionCall.delay(3, Optional.empty(), 1));
    assertEquals(Duration.ofSeconds(5), RecognitionCall.delay(10_000, Optional.empty(), 1));
    assertEquals(Duration.ofSeconds(30), RecognitionCall.delay(0, Optional.of(Duration.ofSeconds(30)), 1));
  }

  @Test
  void aKeyThatCannotBeSentIsRefusedWithoutShowingIt() {
    var error = assertThrows(IllegalArgumentException.class, () -> new ClientOptions().withApiKey("se cret"));
    assertFalse(error.getMessage().contains("cret"));
    assertFalse(new ClientOptions().withApiKey("secret").toString().contains("secret"));
  }

  private static InputStream wav(String chunk, int dataBytes, String samples, int... format) {
    var file = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);
    file.put(latin("RIFF")).putInt(0).put(latin("WAVELIST")).putInt(3).put(latin("abc\0"));
    file.put(latin(chunk)).putInt(2 * format.length);
    for (int number : format) {
      file.putShort((short) number);
    }
    file.put(latin("data")).putInt(dataBytes).put(latin(samples));
    return new ByteArrayInputStream(file.array(), 0, file.position());
  }

  private static byte[] latin(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }

  @Test
  void aWavFileSaysWhereItsSamplesEnd() throws IOException {
    var wav = WavFile.read(wav("fmt ", 4, "1234LIST", 1, 2, 44100, 0, 0, 0, 4, 16));
    assertEquals(WavFile.linear16(44_100, 2), wav.format());
    assertArrayEquals(latin("1234"), wav.samples().readNBytes((int) wav.sampleBytes()));
  }

  @Test
  void aWavFileWithoutALengthIsReadToItsEnd() throws IOException {
    for (int length : new int[] {0, -1}) {
      assertEquals(Long.MAX_VALUE, WavFile.read(wav("fmt ", length, "", 1, 1, 8000, 0, 0, 0, 2, 16)).sampleBytes());
    }
  }

  @Test
  void whatIsNo16BitPcmIsRefused() {
    var text = new ByteArrayInputStream(latin("this is a text and no recording"));
    assertThrows(IOException.class, () -> WavFile.read(text));
    assertThrows(IOException.class, () -> WavFile.read(wav("none", 4, "1234", 1, 1, 8000, 0, 0, 0, 2, 16)));
    assertThrows(IOException.class, () -> WavFile.read(wav("fmt ", 4, "1234", 3, 1, 8000, 0, 0, 0, 4, 32)));
  }
}

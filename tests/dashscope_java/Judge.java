import com.alibaba.dashscope.audio.asr.recognition.Recognition;
import com.alibaba.dashscope.audio.asr.recognition.RecognitionParam;
import com.alibaba.dashscope.audio.asr.recognition.RecognitionResult;
import com.alibaba.dashscope.audio.asr.recognition.timestamp.Word;
import com.alibaba.dashscope.audio.omni.OmniRealtimeCallback;
import com.alibaba.dashscope.audio.omni.OmniRealtimeConfig;
import com.alibaba.dashscope.audio.omni.OmniRealtimeConversation;
import com.alibaba.dashscope.audio.omni.OmniRealtimeModality;
import com.alibaba.dashscope.audio.omni.OmniRealtimeParam;
import com.alibaba.dashscope.audio.omni.OmniRealtimeTranscriptionParam;
import com.alibaba.dashscope.common.ResultCallback;
import com.alibaba.dashscope.utils.Constants;
import com.google.gson.Gson;
import com.google.gson.JsonObject;
import io.reactivex.BackpressureStrategy;
import io.reactivex.Flowable;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * The vendor's Java SDK as its samples use it; each thing that happens becomes a line of JSON.
 *
 * <p>Arguments: URL of the server without a path, a WAV file of 16 kHz, then what to do, one after the other.
 */
public final class Judge {
  private static final int HEADER_BYTES = 44;
  private static final int FRAME_BYTES = 3200;
  private static final int FRAME_MILLISECONDS = 20; // five times faster than a microphone
  private static final int PATIENCE_SECONDS = 90;
  private static final long CONNECT_MILLISECONDS = 20_000;
  private static final Gson JSON = new Gson();

  private final String url;
  private final File recording;
  private String scene = "";

  private Judge(String url, File recording) {
    this.url = url;
    this.recording = recording;
  }

  public static void main(String[] arguments) {
    int status = 0;
    try {
      Judge judge = new Judge(arguments[0], new File(arguments[1]));
      for (String scene : Arrays.asList(arguments).subList(2, arguments.length)) {
        judge.play(scene);
      }
    } catch (Throwable error) {
      error.printStackTrace();
      status = 1;
    }
    System.exit(status); // the SDK's threads would keep the process for minutes
  }

  private void play(String name) throws Exception {
    scene = name;
    Constants.baseWebsocketApiUrl = url + "/api-ws/v1/inference";
    Constants.apiKey = "sk-test";
    switch (name) {
      case "stream" -> stream();
      case "file" -> file();
      case "microphone" -> microphone("paraformer-realtime-v2", 2);
      case "unknown model" -> microphone("whisper", 1);
      case "session" -> session(true);
      case "manual session" -> session(false);
      default -> throw new IllegalArgumentException(name);
    }
  }

  private RecognitionParam param(String model, String format) {
    return RecognitionParam.builder()
        .model(model)
        .format(format)
        .sampleRate(16000)
        .parameter("max_sentence_silence", 800)
        .build();
  }

  /** Frames at the pace of a microphone, from the moment somebody listens. */
  private Flowable<ByteBuffer> frames() {
    return Flowable.create(
        emitter -> {
          for (ByteBuffer frame : pieces()) {
            emitter.onNext(frame);
            Thread.sleep(FRAME_MILLISECONDS);
          }
          emitter.onComplete();
        },
        BackpressureStrategy.BUFFER);
  }

  private List<ByteBuffer> pieces() throws Exception {
    byte[] audio = Files.readAllBytes(recording.toPath());
    List<ByteBuffer> frames = new ArrayList<>();
    for (int begin = HEADER_BYTES; begin < audio.length; begin += FRAME_BYTES) {
      frames.add(ByteBuffer.wrap(Arrays.copyOfRange(audio, begin, Math.min(begin + FRAME_BYTES, audio.length))));
    }
    return frames;
  }

  private void stream() throws Exception {
    Recognition recognition = new Recognition();
    recognition.streamCall(param("paraformer-realtime-v2", "pcm"), frames()).blockingForEach(this::say);
    say("complete", "first_package_delay", recognition.getFirstPackageDelay());
    recognition.getDuplexApi().close(1000, "bye");
  }

  private void file() {
    Recognition recognition = new Recognition();
    String text = recognition.call(param("fun-asr-realtime", "wav"), recording);
    say("complete", "text", text);
    recognition.getDuplexApi().close(1000, "bye");
  }

  /** Tasks one after the other on one socket. */
  private void microphone(String model, int tasks) throws Exception {
    Recognition recognition = new Recognition();
    for (int task = 0; task < tasks; task++) {
      listen(recognition, model);
    }
    recognition.getDuplexApi().close(1000, "bye");
  }

  private void listen(Recognition recognition, String model) throws Exception {
    CountDownLatch over = new CountDownLatch(1);
    recognition.call(
        param(model, "pcm"),
        new ResultCallback<RecognitionResult>() {
          @Override
          public void onEvent(RecognitionResult result) {
            say(result);
          }

          @Override
          public void onComplete() {
            say("complete", "request_id", recognition.getLastRequestId());
            over.countDown();
          }

          @Override
          public void onError(Exception error) {
            say("error", "message", String.valueOf(error.getMessage()));
            over.countDown();
          }
        });
    try {
      for (ByteBuffer frame : pieces()) {
        recognition.sendAudioFrame(frame);
        Thread.sleep(FRAME_MILLISECONDS);
      }
      recognition.stop();
    } catch (RuntimeException error) {
      say("refused", "message", String.valueOf(error.getMessage())); // the task has failed before
    }
    if (!over.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
      say("timeout", "model", model);
    }
  }

  /** The SDK opens the socket, then makes what its opening ends the wait for: if it opens at once, it waits for ever. */
  private OmniRealtimeConversation connected(OmniRealtimeParam param, OmniRealtimeCallback callback) throws Exception {
    while (true) {
      OmniRealtimeConversation conversation = new OmniRealtimeConversation(param, callback);
      Thread connecting =
          new Thread(
              () -> {
                try {
                  conversation.connect();
                } catch (Exception error) {
                  error.printStackTrace();
                }
              });
      connecting.setDaemon(true);
      connecting.start();
      connecting.join(CONNECT_MILLISECONDS);
      if (!connecting.isAlive()) {
        return conversation;
      }
    }
  }

  private void session(boolean hasTurnDetection) throws Exception {
    CountDownLatch completed = new CountDownLatch(1);
    OmniRealtimeConversation conversation =
        connected(
            OmniRealtimeParam.builder()
                .model("qwen3-asr-flash-realtime")
                .url(url + "/api-ws/v1/realtime")
                .apikey("sk-test")
                .build(),
            new OmniRealtimeCallback() {
              @Override
              public void onEvent(JsonObject event) {
                say("event", "event", event);
                if (event.get("type").getAsString().endsWith("transcription.completed")) {
                  completed.countDown();
                }
              }

              @Override
              public void onClose(int code, String reason) {
                say("close", "code", code);
              }
            });
    OmniRealtimeTranscriptionParam transcription = new OmniRealtimeTranscriptionParam();
    transcription.setLanguage("en");
    transcription.setInputSampleRate(16000);
    transcription.setInputAudioFormat("pcm");
    conversation.updateSession(
        OmniRealtimeConfig.builder()
            .modalities(Collections.singletonList(OmniRealtimeModality.TEXT))
            .enableTurnDetection(hasTurnDetection)
            .transcriptionConfig(transcription)
            .build());
    for (ByteBuffer frame : pieces()) {
      conversation.appendAudio(Base64.getEncoder().encodeToString(frame.array()));
      Thread.sleep(FRAME_MILLISECONDS);
    }
    if (!hasTurnDetection) {
      conversation.commit();
      completed.await(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }
    conversation.endSession(PATIENCE_SECONDS);
    say("complete", "text", "");
  }

  private void say(RecognitionResult result) {
    if (result.isCompleteResult() || result.getSentence() == null) {
      return;
    }
    Map<String, Object> line = line("result");
    line.put("text", result.getSentence().getText());
    line.put("is_sentence_end", result.isSentenceEnd());
    line.put("begin_time", result.getSentence().getBeginTime());
    line.put("end_time", result.getSentence().getEndTime());
    line.put("words", words(result.getSentence().getWords()));
    print(line);
  }

  private static int words(List<Word> words) {
    return words == null ? 0 : words.size();
  }

  private void say(String happened, String name, Object value) {
    Map<String, Object> line = line(happened);
    line.put(name, value);
    print(line);
  }

  private Map<String, Object> line(String happened) {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("scene", scene);
    line.put("happened", happened);
    return line;
  }

  private static synchronized void print(Map<String, Object> line) {
    System.out.println("JUDGE " + JSON.toJson(line));
    System.out.flush();
  }
}

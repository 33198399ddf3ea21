package asrgateway.client;

import asrgateway.v1.RecognizeRequest;
import asrgateway.v1.SpeechAdaptation;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;

/** What a new call has to send again, and behind it what has not been sent yet. */
final class KeptAudio {

  /** A request after the configuration, and the place where it belongs in the audio. */
  private record Item(RecognizeRequest request, long begin, BitSet answers) {

    Item(RecognizeRequest request, long begin) {
      this(request, begin, new BitSet(0)); // the channels that have answered this commit
    }

    long end() {
      return begin + request.getAudio().size();
    }

    Item from(long place) {
      var audio = request.getAudio().substring((int) (place - begin));
      return new Item(RecognizeRequest.newBuilder().setAudio(audio).build(), place);
    }
  }

  private final AudioFormat format;
  private final long limitBytes;
  private List<Item> items = new ArrayList<>();
  private int next; // index of the first item that the present call has not sent
  private long begin; // place of the first audio that is kept
  private long sentBytes; // of audio before next
  private long unsentBytes; // of audio from next on
  private final BitSet awaited = new BitSet(); // the channels that answer commits in the present call
  private SpeechAdaptation adaptation; // of the last update before the items

  /**
   * @param limitBytes audio to keep once it is sent
   * @param begin place of the first audio
   */
  KeptAudio(AudioFormat format, long limitBytes, long begin) {
    this.format = format;
    this.limitBytes = limitBytes;
    this.begin = begin;
    awaited.set(0, format.recognizedChannels());
  }

  long begin() {
    return begin;
  }

  long unsentBytes() {
    return unsentBytes;
  }

  /** Returns the adaptation of the last update before what is kept. */
  Optional<SpeechAdaptation> adaptation() {
    return Optional.ofNullable(adaptation);
  }

  /** Puts a request behind all others. */
  void add(RecognizeRequest request) {
    items.add(new Item(request, begin + sentBytes + unsentBytes));
    unsentBytes += request.getAudio().size();
  }

  /** Returns the next request to send, or nothing when all are sent. */
  Optional<RecognizeRequest> take() {
    if (next == items.size()) {
      return Optional.empty();
    }
    RecognizeRequest taken = items.get(next++).request();
    sentBytes += taken.getAudio().size();
    unsentBytes -= taken.getAudio().size();
    long excess = sentBytes - limitBytes;
    if (excess > 0) {
      long frames = (excess + format.frameBytes() - 1) / format.frameBytes();
      release(begin + frames * format.frameBytes());
    }
    return Optional.of(taken);
  }

  /** Makes {@link #take} begin with the first item again, for a call in which every channel answers every commit. */
  void rewind() {
    items.forEach(item -> item.answers().clear());
    awaited.set(0, format.recognizedChannels());
    next = 0;
    unsentBytes += sentBytes;
    sentBytes = 0;
  }

  /** Drops sent audio that lies before a place, and the updates before what is left. */
  void release(long upTo) {
    long place = Math.min(upTo, begin + sentBytes);
    if (place <= begin) {
      return;
    }
    sentBytes -= place - begin;
    begin = place;
    var left = new ArrayList<Item>(items.size());
    int nextLeft = 0;
    for (int i = 0; i < items.size(); i++) {
      Item item = items.get(i);
      if (i < next && left.isEmpty() && item.request().hasUpdate()) {
        adaptation = item.request().getUpdate().getAdaptation();
      } else if (!item.request().hasAudio() || item.begin() >= place) {
        left.add(item);
      } else if (item.end() > place) {
        left.add(item.from(place));
      }
      nextLeft = i < next ? left.size() : nextLeft;
    }
    items = left;
    next = nextLeft;
  }

  /** Notes an answer to the oldest sent commit that the channel has not answered yet. */
  void answered(int channel) {
    items.subList(0, next).stream()
        .filter(item -> item.request().hasCommit() && !item.answers().get(channel))
        .findFirst()
        .ifPresent(item -> item.answers().set(channel));
    dropAnswered();
  }

  /** Notes that no answers of a channel will come. */
  void failed(int channel) {
    awaited.clear(channel);
    dropAnswered();
  }

  /** Drops the sent commits that have the answers of all channels but those that have failed. */
  private void dropAnswered() {
    if (awaited.isEmpty()) {
      return;
    }
    List<Item> sent = items.subList(0, next);
    sent.removeIf(item -> item.request().hasCommit() && covers(item.answers(), awaited));
    next = sent.size();
  }

  private static boolean covers(BitSet answers, BitSet awaited) {
    return awaited.stream().allMatch(answers::get);
  }
}

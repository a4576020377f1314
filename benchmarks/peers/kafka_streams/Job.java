import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.WindowStore;

/** Sliding windows of some topics: `Job OUTPUT SENSOR=TOPIC… KEY=VALUE…`, where keys with a dot are Streams' settings. */
final class Job {
    private static final TimeWindows WINDOWS =
        TimeWindows.ofSizeAndGrace(Duration.ofSeconds(60), Duration.ofSeconds(10)).advanceBy(Duration.ofSeconds(10));

    /** Longer than what a restart goes over again: a record of a window that is gone would begin it anew. */
    private static final Duration RETENTION = Duration.ofHours(1);

    public static void main(String[] arguments) {
        StreamsBuilder builder = new StreamsBuilder();
        Properties settings = new Properties();
        for (int i = 1; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            if (pair[0].contains(".")) {
                settings.put(pair[0], pair[1]);
            } else {
                windows(builder, pair[0], pair[1], arguments[0]);
            }
        }
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(problem -> {
            problem.printStackTrace();
            Runtime.getRuntime().halt(1); // whoever watches the process starts it again
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
    }

    /** Adds a topic, as a sub-topology of its own: all in one would be one task, and so one thread. */
    private static void windows(StreamsBuilder builder, String sensor, String topic, String output) {
        Serde<Reading> readings = Serdes.serdeFrom((name, reading) -> null, (name, json) -> Reading.of(json));
        Serde<Summary> summaries = Serdes.serdeFrom((name, one) -> one.bytes(), (name, bytes) -> Summary.of(bytes));
        builder.stream(topic, Consumed.with(Serdes.String(), readings)
                .withTimestampExtractor((record, newest) -> ((Reading) record.value()).timeMs()))
            .groupByKey()
            .windowedBy(WINDOWS)
            .aggregate(Summary::new, (rig, reading, summary) -> summary.with(reading.value()),
                Materialized.<String, Summary, WindowStore<Bytes, byte[]>>as(sensor)
                    .withKeySerde(Serdes.String()).withValueSerde(summaries).withRetention(RETENTION))
            .toStream()
            .map((window, summary) -> KeyValue.pair(window.key(), summary.row(sensor, window.window().start())))
            .to(output, Produced.with(Serdes.String(), Serdes.String()));
    }
}

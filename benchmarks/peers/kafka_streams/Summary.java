import java.nio.ByteBuffer;

/** Count, mean, sum of squares around the mean, minimum and maximum of a window so far, by Welford's method. */
final class Summary {
    private long count;
    private double mean;
    private double squares;
    private double min = Double.POSITIVE_INFINITY;
    private double max = Double.NEGATIVE_INFINITY;

    static Summary of(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        ByteBuffer from = ByteBuffer.wrap(bytes);
        Summary one = new Summary();
        one.count = from.getLong();
        one.mean = from.getDouble();
        one.squares = from.getDouble();
        one.min = from.getDouble();
        one.max = from.getDouble();
        return one;
    }

    byte[] bytes() {
        return ByteBuffer.allocate(40).putLong(count).putDouble(mean).putDouble(squares).putDouble(min).putDouble(max).array();
    }

    Summary with(double value) {
        double away = value - mean;
        count++;
        mean += away / count;
        squares += away * (value - mean);
        min = Math.min(min, value);
        max = Math.max(max, value);
        return this;
    }

    /** Returns the window's row as JSON. */
    String row(String sensor, long startMs) {
        String deviation = count > 1 ? Double.toString(Math.sqrt(squares / (count - 1))) : "null";
        return "{\"sensor\":\"" + sensor + "\",\"window_start\":" + startMs + ",\"avg_value\":" + mean
            + ",\"max_value\":" + max + ",\"min_value\":" + min + ",\"stddev_value\":" + deviation
            + ",\"range_value\":" + (max - min) + ",\"sample_count\":" + count + "}";
    }
}

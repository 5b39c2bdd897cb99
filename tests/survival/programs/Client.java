import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

/** Sends one prompt with java.net.http, and again when that fails. Prints the answer's JSON. */
public class Client {
    public static void main(String[] words) throws InterruptedException {
        String url = words[0], session = words[1], message = words[2], text = words[3];
        long timerMs = (long) (Double.parseDouble(words[4]) * 1000);
        int tries = Integer.parseInt(words[5]);
        String quoted = text.replace("\\", "\\\\").replace("\"", "\\\"");
        String body = "{\"messageID\":\"" + message + "\",\"parts\":[{\"type\":\"text\",\"text\":\"" + quoted + "\"}]}";
        // Its timer is for the headers; nothing watches for silence in a body.
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/session/" + session + "/message"))
            .timeout(Duration.ofMillis(timerMs))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
        for (int tried = 0; tried < tries; tried++) {
            try {
                String answer = client.send(request, HttpResponse.BodyHandlers.ofString()).body().strip();
                if (answer.startsWith("{\"info\"")) {
                    System.out.println(answer);
                    System.exit(0);
                }
                System.err.println("no answer: " + answer);
            } catch (java.io.IOException lost) {
                System.err.println("lost: " + lost);
            }
            Thread.sleep(200);
        }
        System.exit(1);
    }
}

// Java's own HTTP client, which knows a proxy by the properties that its launcher was given, and proves itself as they say.

import java.net.Authenticator;
import java.net.PasswordAuthentication;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

class Main {
    static class OfProperties extends Authenticator {
        @Override
        protected PasswordAuthentication getPasswordAuthentication() {
            if (getRequestorType() != RequestorType.PROXY) {
                return null;
            }
            String user = System.getProperty("https.proxyUser");
            return new PasswordAuthentication(user, System.getProperty("https.proxyPassword").toCharArray());
        }
    }

    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newBuilder().authenticator(new OfProperties()).build();
        for (String path : new String[] {"/told", "/people"}) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("BASE") + path)).build();
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.body().strip());
        }
    }
}

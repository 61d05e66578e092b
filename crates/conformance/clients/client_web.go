// Go's own HTTP client: the same calls, and what comes of them, to the address in BASE. What is sent without a known length goes in chunks.

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strings"
)

// What differs with the way, and says nothing of what was asked.
var varying = map[string]bool{
	"authorization": true, "host": true, "accept-encoding": true, "connection": true, "transfer-encoding": true,
	"content-length": true, "trailer": true, "te": true,
}

func ask(method, path, contentType string, body io.Reader) *http.Response {
	request, err := http.NewRequest(method, os.Getenv("BASE")+path, body)
	must(err)
	// Its own word has the version of HTTP.
	request.Header.Set("User-Agent", "Go")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if basic := os.Getenv("BASIC"); basic != "" {
		user, password, _ := strings.Cut(basic, ":")
		request.SetBasicAuth(user, password)
	}
	answer, err := http.DefaultClient.Do(request)
	must(err)
	return answer
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func all(answer *http.Response) []byte {
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(err)
	return body
}

func told(name, method, path, contentType string, body io.Reader) {
	answer := ask(method, path, contentType, body)
	said := struct {
		Method, Path, Body string
		Fields             [][2]string
	}{}
	must(json.Unmarshal(all(answer), &said))
	fields := []string{}
	for _, field := range said.Fields {
		if !varying[strings.ToLower(field[0])] {
			fields = append(fields, strings.ToLower(field[0])+": "+field[1])
		}
	}
	sort.Strings(fields)
	fmt.Println(name, answer.StatusCode, said.Method, said.Path, said.Body, fields)
}

// chunked gives what is sent as it comes, without a length.
func chunked(parts int, part []byte) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		for count := 0; count < parts; count++ {
			if _, err := writer.Write(part); err != nil {
				return
			}
		}
		writer.Close()
	}()
	return reader
}

func main() {
	told("get", "GET", "/told?a=1&b=%C3%A4", "", nil)
	told("json", "POST", "/told", "application/json", strings.NewReader(`{"a": [1, "ä"]}`))
	told("form", "PUT", "/told", "application/x-www-form-urlencoded", strings.NewReader(url.Values{"a": {"1 2"}}.Encode()))
	told("chunks", "POST", "/told", "text/plain", chunked(3, []byte("one, ")))
	told("empty chunks", "POST", "/told", "text/plain", chunked(0, nil))
	told("delete", "DELETE", "/told", "", nil)
	for _, parts := range []int{1, 300} {
		answer := ask("POST", "/count", "application/octet-stream", chunked(parts, bytes.Repeat([]byte{7}, 40_000)))
		fmt.Println("upload", answer.StatusCode, string(all(answer)))
	}
	for _, path := range []string{"/people", "/people.gz", "/split", "/lines", "/picture", "/big?n=3000000", "/events", "/empty"} {
		answer := ask("GET", path, "", nil)
		body := all(answer)
		fmt.Printf("%s %d %s %d %x\n", path, answer.StatusCode, answer.Header.Get("Content-Type"), len(body), sha256.Sum256(body))
	}
	answer := ask("GET", "/moved", "", nil)
	fmt.Println("moved", answer.StatusCode, answer.Request.URL.Path[len(answer.Request.URL.Path)-6:], len(all(answer)))
}

// Sends one prompt with Go's net/http, and again when that fails:
// client URL SESSION MESSAGE TEXT TIMER_S TRIES. Prints the answer's JSON.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	url, session, message, text := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	timer, _ := strconv.ParseFloat(os.Args[5], 64)
	tries, _ := strconv.Atoi(os.Args[6])
	body, _ := json.Marshal(map[string]any{
		"messageID": message,
		"parts":     []map[string]string{{"type": "text", "text": text}},
	})
	// net/http has no timer for silence in a body; this one is for the headers.
	wait := time.Duration(timer * float64(time.Second))
	client := &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: wait}}
	for tried := 0; tried < tries; tried++ {
		answer, err := post(client, url+"/session/"+session+"/message", body)
		if err == nil {
			fmt.Println(string(answer))
			return
		}
		fmt.Fprintln(os.Stderr, "lost:", err)
		time.Sleep(200 * time.Millisecond)
	}
	os.Exit(1)
}

func post(client *http.Client, url string, body []byte) ([]byte, error) {
	response, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, err
	}
	if answer["info"] == nil {
		return nil, fmt.Errorf("no answer, status %d", response.StatusCode)
	}
	return json.Marshal(answer)
}

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
)

// answer is what came back to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request as the administrator. header holds "Name: value" lines; "Authorization:" sends none.
func (s *stack) do(method, path string, body any, header ...string) answer {
	s.t.Helper()
	a, err := s.try(method, path, body, header...)
	require.NoError(s.t, err)
	return a
}

func (s *stack) try(method, path string, body any, header ...string) (answer, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		reader = bytes.NewReader(encoded)
	}
	if !strings.HasPrefix(path, "http") {
		path = s.url + path
	}
	request, err := http.NewRequest(method, path, reader)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ":")
		if value = strings.TrimSpace(value); value == "" {
			request.Header.Del(name)
		} else {
			request.Header.Set(name, value)
		}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, content}, err
}

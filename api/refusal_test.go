package api_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/api"
	"slipway/internal/problem"
)

type text struct {
	Body *struct {
		Text string `json:"text"`
	} `body:"json"`
}

// plain is a surface with errors as plain text and a table of public rows.
func plain(t *testing.T, log *bytes.Buffer, rows ...api.Row) *httptest.Server {
	t.Helper()
	surface := &api.Surface{Name: "test", WriteError: func(w http.ResponseWriter, _ *http.Request, p *problem.Error) {
		api.WriteText(w, api.Status(p.Kind), p.Error())
	}}
	for i := range rows {
		rows[i].Permission = api.Permission{Public: true}
	}
	handler, err := api.New(api.Options{Groups: []api.Group{{Surface: surface, Rows: rows}}, Authenticator: nobody{}, Policy: knows("thing:read"), Timeout: 200 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// S18: what fails inside is told by a fixed text and an id, under which the log has the rest.
func TestS18FaultsOfOursShowNothing(t *testing.T) {
	const secret = `ERROR: relation "users" does not exist (SQLSTATE 42P01) at 10.1.2.3:5432`
	var log bytes.Buffer
	s := plain(t, &log,
		api.Row{Method: http.MethodGet, Path: "/fails/", Operation: "fails", Handler: api.Handle(func(context.Context, *struct{}) (api.Empty, error) {
			return api.Empty{}, fmt.Errorf("read the users: %w", errors.New(secret))
		})},
		api.Row{Method: http.MethodGet, Path: "/panics/", Operation: "panics", Handler: api.Handle(func(context.Context, *struct{}) (api.Empty, error) {
			panic(secret)
		})})
	for _, path := range []string{"/fails/", "/panics/"} {
		log.Reset()
		res, err := http.Get(s.URL + path)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusInternalServerError, res.StatusCode)
		require.Equal(t, "internal error", string(body))
		id := res.Header.Get("X-Request-Id")
		require.NotEmpty(t, id)
		require.Contains(t, log.String(), "request_id="+id)
		require.Contains(t, log.String(), "SQLSTATE 42P01")
	}
}

// S19: a body that does not arrive holds neither the connection nor the handler, wherever it was sent to.
func TestS19BodiesThatDoNotArrive(t *testing.T) {
	s := plain(t, new(bytes.Buffer),
		api.Row{Method: http.MethodPost, Path: "/reads/", Operation: "reads", Handler: api.Handle(func(context.Context, *text) (api.Empty, error) { return api.Empty{}, nil })},
		api.Row{Method: http.MethodPost, Path: "/ignores/", Operation: "ignores", Handler: api.Handle(nothing)},
		api.Row{Method: http.MethodPost, Path: "/streams/", Operation: "streams", Handler: api.Stream(func(w http.ResponseWriter, _ *api.Request, _ *struct{}) error {
			w.WriteHeader(http.StatusOK)
			return nil
		})})
	for path, status := range map[string]int{"/reads/": 400, "/ignores/": 200, "/streams/": 200, "/nothing/": 404} {
		t.Run(strings.Trim(path, "/"), func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			// Far longer than the server waits: where this passes, the server would wait for ever.
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", path)
			reader := bufio.NewReader(conn)
			res, err := http.ReadResponse(reader, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, status, res.StatusCode, "%s", body)
			if status == 400 {
				require.Equal(t, "the request body did not arrive in time", string(body))
			}
			_, err = reader.ReadByte()
			require.ErrorIs(t, err, io.EOF, "the connection is closed")
		})
	}
}

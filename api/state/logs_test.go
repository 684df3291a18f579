package state_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"slipway/models"
)

// running gives an execution of a build that its workflow has claimed, the path of it, and its run token.
func running(k *kit, name string) (id, path, token string) {
	k.t.Helper()
	ctx := context.Background()
	k.as("olga").post(devBuilds, aBuild(name)).ok()
	id = k.as("walter").post(devBuilds+"by-name/"+name+"/trigger-build", nil).id()
	_, err := k.store.ClaimExecution(ctx, id, "run", nil)
	require.NoError(k.t, err)
	token, err = k.store.RunToken(id)
	require.NoError(k.t, err)
	return id, devBuilds + "by-name/" + name + "/executions/" + id + "/", token
}

func line(n int) map[string]any {
	return map[string]any{"timestamp": "2026-11-22T02:50:53.37Z", "message": fmt.Sprint("line ", n), "level": "info", "log_key": "build.step",
		"log_values": map[string]any{"release": "p/n-v1"}, "log_section_changed": false, "log_section_indent": false, "log_section_unindent": false, "log_sections": []any{"Build"}}
}

func lines(from, to int) []map[string]any {
	out := []map[string]any{}
	for n := from; n < to; n++ {
		out = append(out, line(n))
	}
	return out
}

func TestLogs(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		_, path, token := running(k, "web")
		run := &caller{k: k, token: token, head: http.Header{}}
		require.Equal(t, "[]\n", k.as("rita").get(path+"logs").ok())
		run.post(path+"logs", line(0)).ok()
		for from := 1; from < 2500; from += 500 {
			run.post(path+"logs", lines(from, min(from+500, 2500))).ok()
		}
		var got []map[string]any
		k.as("rita").get(path + "logs").into(&got)
		require.Equal(t, lines(0, 2500), got)
		k.as("rita").get(path + "logs?from=2490").into(&got)
		require.Equal(t, lines(2490, 2500), got)
		k.as("rita").get(path + "logs?from=1995&limit=1010").into(&got)
		require.Equal(t, lines(1995, 2500), got)
		k.as("rita").get(path + "logs?limit=3").into(&got)
		require.Equal(t, lines(0, 3), got)
		tail := k.as("rita").get(path + "logs?tail=2")
		tail.into(&got)
		require.Equal(t, lines(2498, 2500), got)
		require.Equal(t, "2498", tail.header.Get("X-Slipway-From"))
		k.as("rita").get(path + "logs?from=99999").into(&got)
		require.Empty(t, got)
		k.as("rita").get(path + "logs?from=-1").is(http.StatusBadRequest)
		k.as("sam").get(path + "logs").is(http.StatusNotFound)
	})
}

// TestLogsAfterTheEnd: a log reads alike while it grows, when it is closed, and when it has moved to storage.
func TestLogsAfterTheEnd(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	ctx := context.Background()
	id, path, token := running(k, "web")
	run := &caller{k: k, token: token, head: http.Header{}}
	for from := 0; from < 1500; from += 500 {
		run.post(path+"logs", lines(from, from+500)).ok()
	}
	same := func() {
		t.Helper()
		for query, want := range map[string][]map[string]any{"": lines(0, 1500), "?from=1400": lines(1400, 1500), "?from=10&limit=1005": lines(10, 1015), "?limit=1": lines(0, 1),
			"?tail=3": lines(1497, 1500), "?tail=1500": lines(0, 1500), "?tail=9999": lines(0, 1500), "?from=1500": {}} {
			var got []map[string]any
			k.as("rita").get(path + "logs" + query).into(&got)
			require.Equal(t, want, got, query)
		}
	}
	same()
	_, err := k.store.FinishExecution(ctx, id, models.StatusOK, "")
	require.NoError(t, err)
	same()
	chunks, err := k.store.LogChunks(ctx, id, 0, 1000)
	require.NoError(t, err)
	var all []byte
	for _, c := range chunks {
		all = append(all, c.Data...)
	}
	k.blobs["logs/"+id+".jsonl"] = all
	require.NoError(t, k.store.LogsArchived(ctx, id))
	same()
	require.Equal(t, "1497", k.as("rita").get(path+"logs?tail=3").header.Get("X-Slipway-From"))
	conn, err := follow(k, "rita", path+"logs_ws?from=1499")
	require.NoError(t, err)
	item, err := readLine(t, conn)
	require.NoError(t, err)
	require.Equal(t, line(1499), item)
	_, err = readLine(t, conn)
	require.ErrorContains(t, err, "StatusNormalClosure")
}

// TestS5OnlyTheRunWritesItsLogs: not even an administrator puts words into a log's mouth.
func TestS5OnlyTheRunWritesItsLogs(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	id, path, token := running(k, "web")
	_, other, otherToken := running(k, "other")
	for _, user := range []string{"admin", "olga", "walter", "rita"} {
		k.as(user).post(path+"logs", line(0)).is(http.StatusForbidden)
	}
	k.as("sam").post(path+"logs", line(0)).is(http.StatusNotFound)
	run := func(token string) *caller { return &caller{k: k, token: token, head: http.Header{}} }
	run(otherToken).post(path+"logs", line(0)).is(http.StatusNotFound)
	run(token).post(other+"logs", line(0)).is(http.StatusNotFound)
	run(token).post(path+"logs", line(0)).ok()
	// A run token reads and triggers nothing.
	run(token).get(path + "logs").is(http.StatusNotFound)
	run(token).post(devBuilds+"by-name/web/trigger-build", nil).is(http.StatusNotFound)
	require.Equal(t, "{}\n", run(token).get("/api/v1/builds/").ok())

	for name, c := range map[string]struct{ body, message string }{
		"not JSON":        {"x", "Invalid JSON"},
		"a level":         {`{"level":"loud"}`, "[0].level: expected debug, info, success, warn or error"},
		"a long message":  {`[{},{"message":"` + strings.Repeat("x", 17<<10) + `"}]`, "[1].message: at most 16384 bytes"},
		"too many":        {"[" + strings.Repeat("{},", 1000) + "{}]", "at most 1000 log items"},
		"too many values": {`{"log_sections":[` + strings.Repeat(`"",`, 60) + `""]}`, "at most 50 sections"},
		"a bad time":      {`{"timestamp":"yesterday"}`, "Invalid JSON"},
		"NUL":             {`{"message":"a\u0000b"}`, "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, run(token).post(path+"logs", c.body).is(http.StatusBadRequest), c.message)
		})
	}
	run(token).post(path+"logs", strings.Repeat("x", 5<<20)).is(http.StatusRequestEntityTooLarge)

	_, err := k.store.FinishExecution(context.Background(), id, models.StatusOK, "")
	require.NoError(t, err)
	require.Contains(t, run(token).post(path+"logs", line(1)).is(http.StatusConflict), "its log is closed")
}

// follow opens a WebSocket for a user.
func follow(k *kit, user, path string) (*websocket.Conn, error) {
	conn, res, err := websocket.Dial(context.Background(), "ws"+strings.TrimPrefix(k.server.URL, "http")+path,
		&websocket.DialOptions{HTTPHeader: http.Header{"X-Escape-Token": {k.tokens[user]}}})
	if res != nil && res.Body != nil && err != nil {
		_ = res.Body.Close()
	}
	return conn, err
}

// readLine reads the next item of a log, or the error that the connection ended with.
func readLine(t *testing.T, conn *websocket.Conn) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, text, err := conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	var item map[string]any
	require.NoError(t, json.Unmarshal(text, &item))
	return item, nil
}

// TestR15FollowLogs: a reader that comes late, leaves and comes back sees each line once.
func TestR15FollowLogs(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		id, path, token := running(k, "web")
		run := &caller{k: k, token: token, head: http.Header{}}
		run.post(path+"logs", lines(0, 3)).ok()
		conn, err := follow(k, "rita", path+"logs_ws")
		require.NoError(t, err)
		for n := range 3 {
			item, err := readLine(t, conn)
			require.NoError(t, err)
			require.Equal(t, line(n), item)
		}
		run.post(path+"logs", lines(3, 5)).ok() // while it waits
		item, err := readLine(t, conn)
		require.NoError(t, err)
		require.Equal(t, line(3), item)
		require.NoError(t, conn.CloseNow())

		conn, err = follow(k, "rita", path+"logs_ws?from=4")
		require.NoError(t, err)
		item, err = readLine(t, conn)
		require.NoError(t, err)
		require.Equal(t, line(4), item)
		run.post(path+"logs", lines(5, 6)).ok()
		_, err = k.store.FinishExecution(context.Background(), id, models.StatusFailed, "")
		require.NoError(t, err)
		k.service.LogWritten(context.Background(), id)
		item, err = readLine(t, conn)
		require.NoError(t, err)
		require.Equal(t, line(5), item)
		_, err = readLine(t, conn)
		var closed websocket.CloseError
		require.ErrorAs(t, err, &closed)
		require.Equal(t, websocket.StatusNormalClosure, closed.Code)
		require.Equal(t, "failed", closed.Reason)

		_, err = follow(k, "sam", path+"logs_ws")
		require.ErrorContains(t, err, "404")
		_, err = follow(k, "rita", path+"logs_ws?from=x")
		require.ErrorContains(t, err, "400")
	})
}

func TestFollowLogsAsEvents(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	id, path, token := running(k, "web")
	run := &caller{k: k, token: token, head: http.Header{}}
	run.post(path+"logs", lines(0, 3)).ok()
	req, err := http.NewRequest("GET", k.server.URL+"/api/v1/slipway/executions/"+id+"/events", nil)
	require.NoError(t, err)
	req.Header.Set("X-Escape-Token", k.tokens["rita"])
	req.Header.Set("Last-Event-ID", "0") // a browser that has seen line 0
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	events := bufio.NewScanner(res.Body)
	next := func() string {
		var text []string
		for events.Scan() && events.Text() != "" {
			text = append(text, events.Text())
		}
		return strings.Join(text, "\n")
	}
	require.Contains(t, next(), "id: 1\ndata: {")
	require.Contains(t, next(), "id: 2\ndata: {")
	run.post(path+"logs", lines(3, 4)).ok()
	require.Contains(t, next(), `"message":"line 3"`)
	_, err = k.store.FinishExecution(context.Background(), id, models.StatusOK, "")
	require.NoError(t, err)
	k.service.LogWritten(context.Background(), id)
	require.Equal(t, "event: end\ndata: ok", next())
	require.False(t, events.Scan(), "the stream ends with the execution")
}

// TestS6OpenStreamsEndWithTheRight: who loses the right to read, loses open streams within a second (five on a machine that does other things).
func TestS6OpenStreamsEndWithTheRight(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	ctx := context.Background()
	_, path, token := running(k, "web")
	run := &caller{k: k, token: token, head: http.Header{}}
	run.post(path+"logs", lines(0, 1)).ok()
	conn, err := follow(k, "rita", path+"logs_ws")
	require.NoError(t, err)
	_, err = readLine(t, conn)
	require.NoError(t, err)
	u, err := k.store.UserByName(ctx, "rita")
	require.NoError(t, err)
	p, err := k.store.ProjectByName(ctx, "shop")
	require.NoError(t, err)
	since := time.Now()
	require.NoError(t, k.store.RemoveGrant(ctx, models.SubjectUser, u.ID, models.ScopeProject, p.ID))
	_, err = readLine(t, conn)
	var closed websocket.CloseError
	require.ErrorAs(t, err, &closed)
	require.Equal(t, websocket.StatusPolicyViolation, closed.Code)
	require.Equal(t, "access was revoked", closed.Reason)
	require.Less(t, time.Since(since), 5*time.Second)
}

package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// store is a sink that keeps chunks as a table does: the same first line twice is one row.
type store struct {
	mu     sync.Mutex
	chunks []Chunk
	rows   map[int64]bool
	got    chan Chunk
	before func(Chunk) error
}

func newStore() *store { return &store{rows: map[int64]bool{}, got: make(chan Chunk, 10_000)} }

func (s *store) put(_ context.Context, c Chunk) error {
	if s.before != nil {
		if err := s.before(c); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.rows[c.FirstLine] {
		s.rows[c.FirstLine] = true
		s.chunks = append(s.chunks, c)
	}
	s.got <- c
	return nil
}

// items decodes everything and checks the numbering and the size of the chunks.
func (s *store) items(t testing.TB, first int64) []Item {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Item
	for _, c := range s.chunks {
		require.Equal(t, first, c.FirstLine)
		require.LessOrEqual(t, len(c.Data), MaxChunk)
		require.Positive(t, c.Count)
		items, err := c.Items()
		require.NoError(t, err)
		require.Len(t, items, c.Count)
		first += int64(c.Count)
		all = append(all, items...)
	}
	return all
}

func messages(items []Item) []string {
	var texts []string
	for _, item := range items {
		texts = append(texts, item.Message)
	}
	return texts
}

func TestItemHasTheShapeOfTheSurface(t *testing.T) {
	s := newStore()
	at := time.Date(2026, 11, 22, 5, 0, 0, 123456789, time.FixedZone("x", 3600))
	l := New(t.Context(), Options{Sink: s.put, Now: func() time.Time { return at }})
	require.NoError(t, l.Append(Item{
		Message: `Running build step "x" <&>.`, LogKey: "build.step", LogValues: map[string]string{"release": "p/n-v1"},
		LogSectionChanged: true, LogSectionIndent: true, LogSections: []string{"Build"},
	}))
	require.NoError(t, l.Close(t.Context()))
	require.Equal(t, `{"timestamp":"2026-11-22T04:00:00.123456789Z","message":"Running build step \"x\" <&>.","level":"info",`+
		`"log_key":"build.step","log_values":{"release":"p/n-v1"},"log_section_changed":true,"log_section_indent":true,`+
		`"log_section_unindent":false,"log_sections":["Build"]}`+"\n", string(s.chunks[0].Data))
	item := s.items(t, 0)[0]
	require.True(t, item.Timestamp.Equal(at))
}

func TestLinesAreCutAndHarmless(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     []string
	}{
		{"lines", "a\nb\r\nc\n\nd", []string{"a", "b", "c", "", "d"}},
		{"progress bar", "1%\r2%\r3%\n", []string{"1%", "2%", "3%"}},
		{"nothing", "", nil},
		{"quotes", `"\` + "\t\u2028<b>\n", []string{`"\` + "\t\u2028<b>"}},
		{"invalid UTF-8", "a\xffb\xc3\n", []string{"a\ufffdb\ufffd"}},
		{"NUL and bells", "a\x00b\x07c\x7f\n", []string{"a␀b␇c␡"}},
		{"C1", "a\u009bb\n", []string{"a\ufffdb"}},
		{"colours", "\x1b[1;31mred\x1b[0m \x1b[2Kx\n", []string{"red x"}},
		{"link", "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x07\n", []string{"click"}},
		{"unfinished sequence", "a\x1b[12\nb\x1b]0;title\nc\x1b\n", []string{"a␛[12", "b␛]0;title", "c␛"}},
		{"reversed text", "a\u202eb\u2066c\n", []string{"a\ufffdb\ufffdc"}},
		{"long line", strings.Repeat("x", MaxLine) + "y\n" + strings.Repeat("é", MaxLine/2+1),
			[]string{strings.Repeat("x", MaxLine), "y", strings.Repeat("é", MaxLine/2), "é"}},
		{"secret", "hunter22\n", []string{"***"}},
		{"coloured secret", "hun\x1b[31mter\x1b[0m22\n", []string{"***"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 1))
			for range 10 {
				s := newStore()
				l := New(t.Context(), Options{Sink: s.put, Secrets: NewSecrets("hunter22")})
				stream := l.Stream(Item{})
				writeSplit(t, stream, test.in, random)
				require.NoError(t, stream.Close())
				require.NoError(t, l.Close(t.Context()))
				require.Equal(t, test.want, messages(s.items(t, 0)))
				for _, c := range s.chunks {
					require.True(t, utf8.Valid(c.Data))
				}
			}
		})
	}
}

// A line of the worst bytes still fits into a chunk.
func TestWorstLinesFit(t *testing.T) {
	for _, worst := range []string{"\xff", "\x00", `"`, "\t", "\u2028", "<"} {
		s := newStore()
		l := New(t.Context(), Options{Sink: s.put})
		stream := l.Stream(Item{LogSections: []string{strings.Repeat("\"", 100_000)}, LogValues: map[string]string{strings.Repeat("\x00", 9000): "x"}})
		_, err := stream.Write([]byte(strings.Repeat(worst, 3*MaxLine)))
		require.NoError(t, err)
		require.NoError(t, stream.Close())
		require.NoError(t, l.Close(t.Context()))
		require.NotEmpty(t, s.items(t, 0)) // checks the size
	}
}

func TestAppendMasksEverything(t *testing.T) {
	s := newStore()
	l := New(t.Context(), Options{Sink: s.put, Secrets: NewSecrets("hunter22"), FirstLine: 7})
	require.NoError(t, l.Append(
		Item{Message: "with hunter22\nand more", LogValues: map[string]string{"hunter22": "hunter22\n2"}, LogSections: []string{"a hunter22"}},
		Item{Level: LevelError},
	))
	require.Equal(t, int64(10), l.NextLine())
	require.NoError(t, l.Close(t.Context()))
	items := s.items(t, 7)
	require.Equal(t, []string{"with ***", "and more", ""}, messages(items))
	require.Equal(t, map[string]string{"***": "***\n2"}, items[0].LogValues)
	require.Equal(t, []string{"a ***"}, items[1].LogSections)
	require.Equal(t, LevelError, items[2].Level)
	require.Error(t, l.Append(Item{Message: "late"}))
}

// Lines that come together go out together, soon after the first.
func TestChunksGoOutAfterTheInterval(t *testing.T) {
	s := newStore()
	l := New(t.Context(), Options{Sink: s.put, Interval: 50 * time.Millisecond})
	stream := l.Stream(Item{})
	began := time.Now()
	fmt.Fprint(stream, "a\nb\n")
	fmt.Fprint(stream, "c\npartial")
	c := <-s.got
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	require.Equal(t, 3, c.Count)
	fmt.Fprint(stream, " line\n")
	c = <-s.got
	require.Equal(t, int64(3), c.FirstLine)
	require.NoError(t, stream.Close())
	require.NoError(t, l.Close(t.Context()))
	require.Equal(t, []string{"a", "b", "c", "partial line"}, messages(s.items(t, 0)))
}

// A full chunk does not wait for the interval.
func TestFullChunksGoOutAtOnce(t *testing.T) {
	s := newStore()
	l := New(t.Context(), Options{Sink: s.put, Interval: time.Hour})
	stream := l.Stream(Item{})
	fmt.Fprint(stream, strings.Repeat(strings.Repeat("x", 99)+"\n", 1000))
	c := <-s.got
	require.Greater(t, len(c.Data), MaxChunk*9/10)
	require.NoError(t, stream.Close())
	require.NoError(t, l.Close(t.Context()))
	require.Len(t, s.items(t, 0), 1000)
}

func TestFinishKeepsTheLastChunkForTheCaller(t *testing.T) {
	s := newStore()
	l := New(t.Context(), Options{Sink: s.put, Interval: time.Hour})
	stream := l.Stream(Item{})
	fmt.Fprint(stream, strings.Repeat(strings.Repeat("x", 99)+"\n", 1000))
	require.NoError(t, stream.Close())
	last, err := l.Finish(t.Context())
	require.NoError(t, err)
	require.Positive(t, last.Count)
	require.Equal(t, int64(len(s.items(t, 0))), last.FirstLine)
	require.Equal(t, 1000, len(s.items(t, 0))+last.Count)
	again, err := l.Finish(t.Context())
	require.NoError(t, err)
	require.Zero(t, again.Count)
}

// A slow sink slows the writer and loses nothing; memory stays bounded.
func TestSlowSinkLosesNothing(t *testing.T) {
	s := newStore()
	gate := make(chan struct{})
	s.before = func(Chunk) error { <-gate; return nil }
	l := New(t.Context(), Options{Sink: s.put, Interval: time.Millisecond})
	stream := l.Stream(Item{})
	const lines = 20_000
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < lines && err == nil; i++ {
			_, err = fmt.Fprintf(stream, "line %d\n", i)
		}
		done <- err
	}()
	gate <- struct{}{} // one is through, and the writer is blocked long before its end
	l.mu.Lock()
	require.LessOrEqual(t, len(l.queue), waiting+1) // one more by the interval
	l.mu.Unlock()
	select {
	case <-done:
		t.Fatal("the writer did not wait for the sink")
	default:
	}
	close(gate)
	require.NoError(t, <-done)
	require.NoError(t, stream.Close())
	require.NoError(t, l.Close(t.Context()))
	items := s.items(t, 0)
	require.Len(t, items, lines)
	for i, item := range items {
		require.Equal(t, fmt.Sprintf("line %d", i), item.Message)
	}
}

// R3: a sink that fails for a while gets the same chunk again; one that took it in spite of the error sees it twice.
func TestR3SinkFailsForAWhile(t *testing.T) {
	s := newStore()
	failures := 0
	s.before = func(c Chunk) error {
		if failures++; failures <= 2 {
			if failures == 2 { // execute and time out
				s.rows[c.FirstLine] = true
				s.chunks = append(s.chunks, c)
			}
			return errors.New("connection refused")
		}
		return nil
	}
	l := New(t.Context(), Options{Sink: s.put, Interval: time.Millisecond})
	require.NoError(t, l.Append(Item{Message: "kept"}))
	<-s.got
	require.NoError(t, l.Append(Item{Message: "next"}))
	require.NoError(t, l.Close(t.Context()))
	require.Equal(t, []string{"kept", "next"}, messages(s.items(t, 0)))
}

func TestSinkRefuses(t *testing.T) {
	refused := fmt.Errorf("run token revoked: %w", ErrRefused)
	l := New(t.Context(), Options{Sink: func(context.Context, Chunk) error { return refused }, Interval: time.Millisecond})
	stream := l.Stream(Item{})
	var err error
	for err == nil { // the writer learns of it, and with it the script ends
		_, err = fmt.Fprint(stream, strings.Repeat("x", 1000)+"\n")
	}
	require.ErrorIs(t, err, ErrRefused)
	_ = stream.Close()
	require.ErrorIs(t, l.Close(t.Context()), ErrRefused)
}

func TestCloseGivesUpWhenItsContextEnds(t *testing.T) {
	l := New(t.Context(), Options{Sink: func(context.Context, Chunk) error { return errors.New("down") }})
	require.NoError(t, l.Append(Item{Message: "lost"}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, l.Close(ctx), "down")
}

func TestStreamsOfOneLog(t *testing.T) {
	s := newStore()
	l := New(t.Context(), Options{Sink: s.put, Interval: time.Millisecond, Secrets: NewSecrets("hunter22")})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			stream := l.Stream(Item{LogKey: fmt.Sprint(i)})
			for j := range 500 {
				fmt.Fprintf(stream, "%d hunt", j)
				fmt.Fprint(stream, "er22\n")
			}
			stream.Close()
		})
	}
	group.Wait()
	require.NoError(t, l.Close(t.Context()))
	next := map[string]int{}
	for _, item := range s.items(t, 0) {
		require.Equal(t, fmt.Sprintf("%d ***", next[item.LogKey]), item.Message)
		next[item.LogKey]++
	}
	require.Len(t, next, 8)
}

// A line that may be the first of a wrapped base64 text is shown all the same when nothing follows.
func TestHeldLineIsShownAfterAPause(t *testing.T) {
	s := newStore()
	l := New(t.Context(), Options{Sink: s.put, Interval: time.Millisecond, Secrets: NewSecrets("hunter22")})
	stream := l.Stream(Item{})
	fmt.Fprint(stream, "aHVudG\n") // hunter
	require.Equal(t, 1, (<-s.got).Count)
	require.NoError(t, stream.Close())
	require.NoError(t, l.Close(t.Context()))
	require.Equal(t, []string{"aHVudG"}, messages(s.items(t, 0)))
}

func TestChunkAfter(t *testing.T) {
	c := Chunk{FirstLine: 10, Count: 3, Data: []byte("a\nb\nc\n")}
	require.Equal(t, c, c.After(3))
	require.Equal(t, Chunk{FirstLine: 12, Count: 1, Data: []byte("c\n")}, c.After(12))
	require.Zero(t, c.After(13).Count)
	require.Zero(t, c.After(99).Count)
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("a\x1b[31mb\r\nc\x00\xff"), uint64(1))
	f.Add([]byte(strings.Repeat("\x1b]8;;x\x07é", 4000)), uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		s := newStore()
		l := New(t.Context(), Options{Sink: s.put, Interval: time.Hour})
		stream := l.Stream(Item{})
		writeSplit(t, stream, string(data), rand.New(rand.NewPCG(seed, 0)))
		require.NoError(t, stream.Close())
		require.NoError(t, l.Close(t.Context()))
		for _, item := range s.items(t, 0) {
			if strings.ContainsFunc(item.Message, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }) {
				t.Fatalf("%q", item.Message)
			}
		}
		for _, c := range s.chunks {
			for line := range bytes.Lines(c.Data) {
				require.True(t, json.Valid(line))
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	l := New(b.Context(), Options{Sink: func(context.Context, Chunk) error { return nil }, Secrets: NewSecrets("correct horse battery staple")})
	stream := l.Stream(Item{})
	data := []byte(strings.Repeat("compiling package example/with/some/path and flags\n", 600))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		stream.Write(data)
	}
	stream.Close()
	l.Close(b.Context())
}

package logs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"slipway/internal/periodic"
)

const (
	// MaxChunk is the largest size of a chunk's data, in bytes.
	MaxChunk = 64 << 10
	// DefaultInterval is the usual time between two chunks of a log that is not busy.
	DefaultInterval = 100 * time.Millisecond
	// waiting is how many full chunks may wait for the sink before writers have to.
	waiting = 4
	// firstRetry and lastRetry bound the pause after an error of the sink.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// ErrRefused, wrapped by a sink's error, says that repeating is of no use. The log is then broken for good.
var ErrRefused = errors.New("the log is not accepted")

// Sink takes the chunks of a log, in order and one at a time. A chunk whose sink failed is offered again, so a sink must
// accept the same FirstLine twice. The data belongs to the sink.
type Sink func(context.Context, Chunk) error

// Options configure a Log.
type Options struct {
	// Sink takes the chunks. It is required.
	Sink Sink
	// Secrets are masked in everything; nil means none.
	Secrets *Secrets
	// FirstLine is the number of the first line, for a log that goes on.
	FirstLine int64
	// Interval is how long a line waits for company; DefaultInterval if zero.
	Interval time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Log collects items and hands them over in chunks: when one is full, else an interval after its first line. It is safe
// for concurrent use. A log that was made must be closed.
type Log struct {
	options Options
	ctx     context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	room    *sync.Cond // signalled when the queue shrinks or the log breaks
	queue   []Chunk    // full chunks; the first may be at the sink
	current Chunk
	closing bool
	err     error // why the log is broken
	wake    chan struct{}
	done    chan struct{}
}

// New starts a log. Chunks are offered to the sink until ctx ends; a log that should outlive a cancelled execution needs
// a context that is not cancelled with it.
func New(ctx context.Context, options Options) *Log {
	if options.Interval <= 0 {
		options.Interval = DefaultInterval
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	l := &Log{options: options, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.room = sync.NewCond(&l.mu)
	l.current.FirstLine = options.FirstLine
	go l.deliver()
	return l
}

// Append adds items. Their texts are masked and made harmless; texts with several lines become several items, those of
// level "" are info, those without a time get the present. It waits while the sink is behind.
func (l *Log) Append(items ...Item) error {
	for _, item := range items {
		masked := l.maskItem(item)
		tail := masked.tail()
		at := item.Timestamp
		lines := &lineSplitter{emit: func(raw []byte) error {
			text, joined := harmless(raw)
			if joined {
				text = l.options.Secrets.Mask(text)
			}
			return l.appendAt(at, text, tail)
		}}
		if masked.Message == "" {
			if err := l.appendAt(at, "", tail); err != nil {
				return err
			}
			continue
		}
		if _, err := lines.Write([]byte(masked.Message)); err != nil {
			return err
		}
		if err := lines.Close(); err != nil {
			return err
		}
	}
	return nil
}

// maskItem masks the texts of an item and keeps what surrounds the message small enough for a chunk.
func (l *Log) maskItem(item Item) Item {
	const room = 4 << 10 // for all keys and values together, before JSON escapes
	left := room
	clean := func(text string) string {
		lines := strings.Split(l.options.Secrets.Mask(text), "\n")
		for i := range lines {
			lines[i], _ = harmless([]byte(lines[i]))
		}
		text = l.options.Secrets.Mask(strings.Join(lines, "\n"))
		if len(text) > left {
			for left > 0 && !utf8.RuneStart(text[left]) {
				left--
			}
			text = text[:left] + "…"
		}
		left = max(0, left-len(text))
		return text
	}
	item.Message = l.options.Secrets.Mask(item.Message)
	item.Level, item.LogKey = clean(item.Level), clean(item.LogKey)
	var sections []string
	for _, section := range item.LogSections {
		if left > 0 {
			sections = append(sections, clean(section))
		}
	}
	item.LogSections = sections
	var values map[string]string
	for key, value := range item.LogValues {
		if left > 0 {
			if values == nil {
				values = map[string]string{}
			}
			values[clean(key)] = clean(value)
		}
	}
	item.LogValues = values
	return item
}

func (l *Log) append(text string, tail []byte) error { return l.appendAt(time.Time{}, text, tail) }

func (l *Log) appendAt(at time.Time, text string, tail []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) >= waiting && l.err == nil {
		l.room.Wait()
	}
	if l.err != nil {
		return l.err
	}
	if l.closing {
		return errors.New("write to a log that is closed")
	}
	if at.IsZero() {
		at = l.options.Now()
	}
	before := len(l.current.Data)
	l.current.Data = appendLine(l.current.Data, at, text, tail)
	if len(l.current.Data) > MaxChunk && before > 0 {
		line := append([]byte(nil), l.current.Data[before:]...)
		l.current.Data = l.current.Data[:before]
		l.seal()
		l.current.Data = line
		before = 0
	}
	if before == 0 {
		l.signal()
	}
	l.current.Count++
	return nil
}

// seal moves the current chunk to the queue.
func (l *Log) seal() {
	if l.current.Count == 0 {
		return
	}
	l.queue = append(l.queue, l.current)
	l.current = Chunk{FirstLine: l.current.FirstLine + int64(l.current.Count)}
	l.signal()
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// deliver hands chunks to the sink until the log is closed and empty, or broken.
func (l *Log) deliver() {
	defer close(l.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	timer.Stop()
	for {
		l.mu.Lock()
		for len(l.queue) > 0 {
			chunk := l.queue[0]
			l.mu.Unlock()
			err := l.offer(chunk)
			l.mu.Lock()
			if err != nil {
				l.err = err
				l.room.Broadcast()
				l.mu.Unlock()
				return
			}
			l.queue = l.queue[1:]
			l.room.Broadcast()
		}
		if l.closing {
			l.mu.Unlock()
			return
		}
		waiting := l.current.Count > 0
		l.mu.Unlock()

		if !waiting {
			select {
			case <-l.wake:
			case <-l.ctx.Done():
				l.fail()
				return
			}
			continue
		}
		timer.Reset(l.options.Interval)
		select {
		case <-timer.C:
			l.mu.Lock()
			l.seal()
			l.mu.Unlock()
		case <-l.wake: // full, closing, or a first line that was seen already
		case <-l.ctx.Done():
			l.fail()
			return
		}
	}
}

// fail marks the log as broken because its context ended.
func (l *Log) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = fmt.Errorf("store the log: %w", context.Cause(l.ctx))
	l.room.Broadcast()
}

// offer gives a chunk to the sink until it is taken.
func (l *Log) offer(chunk Chunk) error {
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		err := l.options.Sink(l.ctx, chunk)
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrRefused) || l.ctx.Err() != nil {
			return fmt.Errorf("store the log: %w", err)
		}
		if periodic.Pause(l.ctx, pause) != nil {
			return fmt.Errorf("store the log: %w", err)
		}
	}
}

// Finish ends the log and returns the last chunk without handing it to the sink, so that it can be stored together with
// the end of the execution; its Count is 0 when there is none. Everything before it is stored when Finish returns
// without an error. When ctx ends first, the log is given up. Streams must be closed before.
func (l *Log) Finish(ctx context.Context) (Chunk, error) {
	l.mu.Lock()
	l.closing = true
	l.signal()
	l.mu.Unlock()
	select {
	case <-l.done:
	case <-ctx.Done():
		l.cancel()
		<-l.done
	}
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.current
	l.current = Chunk{FirstLine: last.FirstLine + int64(last.Count)}
	return last, l.err
}

// Close ends the log and hands everything to the sink. When ctx ends first, the rest is given up.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closing {
		l.seal()
	}
	l.mu.Unlock()
	_, err := l.Finish(ctx)
	return err
}

// NextLine is the number that the next line will get.
func (l *Log) NextLine() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current.FirstLine + int64(l.current.Count)
}

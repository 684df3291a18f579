package executions

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/periodic"
)

// Bus carries wake-ups between processes: "cancel:ID" to the worker that runs it, "log:ID" to those who follow its log.
// A message may be lost (a connection breaks); whoever listens must also be able to find out by reading.
type Bus interface {
	// Publish sends a topic to all subscribers, this process's included. It does not wait for them.
	Publish(ctx context.Context, topic string)
	// Subscribe calls f for every message of the topic until stop is called. f must not block.
	Subscribe(topic string, f func()) (stop func())
	// Close ends the bus.
	Close()
}

// LocalBus is the bus of a single process, as on SQLite.
type LocalBus struct {
	mu   sync.RWMutex
	next int
	subs map[string]map[int]func()
}

// NewLocalBus makes a bus for one process.
func NewLocalBus() *LocalBus { return &LocalBus{subs: map[string]map[int]func(){}} }

// Publish implements Bus.
func (b *LocalBus) Publish(_ context.Context, topic string) { b.deliver(topic) }

func (b *LocalBus) deliver(topic string) {
	b.mu.RLock()
	fs := make([]func(), 0, len(b.subs[topic]))
	for _, f := range b.subs[topic] {
		fs = append(fs, f)
	}
	b.mu.RUnlock()
	for _, f := range fs {
		f()
	}
}

// deliverAll wakes everybody: after a gap nobody knows what was missed.
func (b *LocalBus) deliverAll() {
	b.mu.RLock()
	var topics []string
	for t := range b.subs {
		// A cancel is acted on without another look, so only topics whose readers look for themselves are woken.
		if len(t) > 4 && t[:4] == "log:" {
			topics = append(topics, t)
		}
	}
	b.mu.RUnlock()
	for _, t := range topics {
		b.deliver(t)
	}
}

// Subscribe implements Bus.
func (b *LocalBus) Subscribe(topic string, f func()) func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := b.next
	b.next++
	if b.subs[topic] == nil {
		b.subs[topic] = map[int]func(){}
	}
	b.subs[topic][id] = f
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subs[topic], id)
		if len(b.subs[topic]) == 0 {
			delete(b.subs, topic)
		}
	}
}

// Close implements Bus.
func (b *LocalBus) Close() {}

// channel is the one PostgreSQL channel of all Slipway processes; the payload is the topic.
const channel = "slipway"

// PostgresBus is the bus of several processes: NOTIFY out, one connection that listens in. Publishing is batched off
// the caller's path, because a transaction with NOTIFY takes a lock of the whole database when it commits.
type PostgresBus struct {
	*LocalBus
	url    string
	log    *slog.Logger
	out    chan string
	cancel context.CancelFunc
	done   sync.WaitGroup
	ready  chan struct{}
	once   sync.Once
}

// NewPostgresBus connects to the database at url. Lost connections are made again; Ready tells when it listens first.
func NewPostgresBus(url string, log *slog.Logger) *PostgresBus {
	ctx, cancel := context.WithCancel(context.Background())
	b := &PostgresBus{LocalBus: NewLocalBus(), url: url, log: log, out: make(chan string, 4096), cancel: cancel, ready: make(chan struct{})}
	b.done.Add(2)
	go b.listen(ctx)
	go b.send(ctx)
	return b
}

// Ready is closed when the bus listens for the first time.
func (b *PostgresBus) Ready() <-chan struct{} { return b.ready }

// Publish implements Bus. This process's own subscribers hear it at once, the others through the database.
func (b *PostgresBus) Publish(_ context.Context, topic string) {
	b.deliver(topic)
	select {
	case b.out <- topic:
	default:
		b.log.Warn("too many notifications wait to be sent, one is dropped", "topic", topic)
	}
}

// Close implements Bus.
func (b *PostgresBus) Close() {
	b.cancel()
	b.done.Wait()
}

func (b *PostgresBus) listen(ctx context.Context) {
	defer b.done.Done()
	for first := true; ctx.Err() == nil; first = false {
		err := b.listenOnce(ctx, !first)
		if ctx.Err() != nil {
			return
		}
		b.log.Warn("the connection for notifications broke, it is made again", "error", err)
		_ = periodic.Pause(ctx, time.Second)
	}
}

func (b *PostgresBus) listenOnce(ctx context.Context, again bool) error {
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	b.once.Do(func() { close(b.ready) })
	if again {
		b.deliverAll()
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		b.deliver(n.Payload)
	}
}

func (b *PostgresBus) send(ctx context.Context) {
	defer b.done.Done()
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	for {
		topics := b.collect(ctx)
		for attempt := 0; attempt < 3 && ctx.Err() == nil; attempt++ {
			var err error
			if conn == nil {
				conn, err = pgx.Connect(ctx, b.url)
			}
			if err == nil {
				_, err = conn.Exec(ctx, "SELECT pg_notify($1, t) FROM unnest($2::text[]) t", channel, topics)
			}
			if err == nil {
				break
			}
			if conn != nil {
				_ = conn.Close(context.WithoutCancel(ctx))
				conn = nil
			}
			_ = periodic.Pause(ctx, 200*time.Millisecond)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// collect waits for a topic and takes what else is there, each once: many notifications cost one statement.
func (b *PostgresBus) collect(ctx context.Context) []string {
	var topics []string
	select {
	case <-ctx.Done():
		return nil
	case t := <-b.out:
		topics = append(topics, t)
	}
	for len(topics) < 256 {
		select {
		case t := <-b.out:
			if !slices.Contains(topics, t) {
				topics = append(topics, t)
			}
		default:
			return topics
		}
	}
	return topics
}

package temporaldev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
)

// dial makes a client for one purpose. It is not kept: after a failure gRPC waits ever longer before it dials again, and
// a fresh connection has no such memory.
func dial(hostPort, namespace string) (client.Client, error) {
	return client.NewLazyClient(client.Options{HostPort: hostPort, Namespace: namespace, Logger: silent{}})
}

// checkHealth asks the frontend's gRPC health service.
func checkHealth(ctx context.Context, o Options, hostPort string) error {
	ctx, cancel := context.WithTimeout(ctx, o.checkTimeout)
	defer cancel()
	c, err := dial(hostPort, o.Namespace)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}

// errExited says that the child ended before it was healthy.
var errExited = errors.New("the process ended")

// waitHealthy returns nil once the frontend serves, the namespace is as wanted and the Web UI accepts connections.
func waitHealthy(ctx context.Context, p *process, o Options, hostPort, uiHostPort string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.StartTimeout, fmt.Errorf("not healthy after %s", o.StartTimeout))
	defer cancel()
	var last error
	for {
		if last = tryReady(ctx, o, hostPort, uiHostPort); last == nil {
			return nil
		}
		timer := time.NewTimer(25 * time.Millisecond)
		select {
		case <-p.exited:
			timer.Stop()
			return fmt.Errorf("%w: %s", errExited, p.state)
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w (%w)", context.Cause(ctx), last)
		case <-timer.C:
		}
	}
}

func tryReady(ctx context.Context, o Options, hostPort, uiHostPort string) error {
	for _, address := range []string{hostPort, uiHostPort} {
		conn, err := (&net.Dialer{Timeout: o.checkTimeout}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		conn.Close()
	}
	if err := checkHealth(ctx, o, hostPort); err != nil {
		return err
	}
	c, err := dial(hostPort, o.Namespace)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return prepareNamespace(ctx, c, o.Namespace, o.Retention)
}

// silent drops the client's log lines: a server that is not up yet is expected here.
type silent struct{}

var _ log.Logger = silent{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}

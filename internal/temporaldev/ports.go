package temporaldev

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Free ports are taken from below the range from which Linux picks ports for outgoing connections (32768 and up). Between
// finding a port free and the child binding it, an outgoing connection of any process could otherwise take it.
const (
	firstPort = 15000
	lastPort  = 32000
)

// freePort returns a loopback port that nothing listens on right now.
func freePort() (int, error) {
	var last error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		listener, err := net.Listen("tcp", loopback(port))
		if err != nil {
			last = err
			continue
		}
		return port, listener.Close()
	}
	return 0, fmt.Errorf("temporal server: no free port: %w", last)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

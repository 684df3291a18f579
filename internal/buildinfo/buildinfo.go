// Package buildinfo tells which build of Slipway this is.
package buildinfo

// Version is set by the build: -ldflags "-X slipway/internal/buildinfo.Version=1.2.3".
var Version = "0.1.0-dev"

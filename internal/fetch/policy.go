package fetch

import (
	"time"

	"slipway/internal/netguard"
)

// Policy says what may be fetched.
type Policy struct {
	// AllowHTTP also allows http://, which is neither private nor safe from changes on the way.
	AllowHTTP bool `json:"allow_http"`
	// AllowLocal also allows repositories in folders of this machine.
	AllowLocal bool `json:"allow_local"`
	// Network says which addresses may be dialled.
	Network netguard.Policy `json:"network"`
	// StrictHostKeys refuses ssh hosts that are not among the known hosts. Without it the key of a new host is
	// remembered, and only a changed key is refused.
	StrictHostKeys bool `json:"strict_host_keys"`
	// MaxBytes limits what is transferred and what lies in the folder afterwards; DefaultMaxBytes if zero.
	MaxBytes int64 `json:"max_bytes"`
	// MaxFiles limits the number of files; DefaultMaxFiles if zero.
	MaxFiles int `json:"max_files"`
	// Timeout limits the time of one fetch; DefaultTimeout if zero.
	Timeout time.Duration `json:"timeout"`
}

// Defaults of Policy.
const (
	DefaultMaxBytes = 2 << 30
	DefaultMaxFiles = 500_000
	DefaultTimeout  = 10 * time.Minute
)

func (p Policy) withDefaults() Policy {
	if p.MaxBytes <= 0 {
		p.MaxBytes = DefaultMaxBytes
	}
	if p.MaxFiles <= 0 {
		p.MaxFiles = DefaultMaxFiles
	}
	if p.Timeout <= 0 {
		p.Timeout = DefaultTimeout
	}
	return p
}

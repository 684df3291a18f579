package main

import (
	"errors"
	"strings"
)

// pairs is the value of a flag that is given as NAME=VALUE any number of times. Unlike cobra's own, it takes a value as it
// is, commas and quotes included.
type pairs map[string]string

// Set adds one.
func (p *pairs) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("expected NAME=VALUE")
	}
	if *p == nil {
		*p = pairs{}
	}
	(*p)[name] = value
	return nil
}

// Type is what the help calls it.
func (p *pairs) Type() string { return "NAME=VALUE" }

// String gives the names: values may be secret.
func (p *pairs) String() string {
	return strings.Join(sortedKeys(*p), ", ")
}

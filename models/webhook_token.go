package models

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// NewWebhookToken makes the secret part of a webhook's path: 256 bits that need no escaping in a URL.
func NewWebhookToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails, and crashes the process if the system has no randomness
	return base64.RawURLEncoding.EncodeToString(b)
}

// webhookHash is what a token is found by. The token has enough randomness of its own, so a plain hash will do.
func webhookHash(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:])
}

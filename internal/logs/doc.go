// Package logs turns what scripts print into log items and hands them over in chunks.
//
// Bytes go through four stages: a Masker replaces known secrets, lines are cut, control characters are made harmless,
// and a Log collects the items into chunks of JSON lines for a sink, usually a table.
package logs

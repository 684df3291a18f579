package composer

import (
	"encoding/json"
	"errors"
	"fmt"
)

// MaxDownloads is the largest number of downloads in one report.
const MaxDownloads = 2000

// Download is one installed package in a client's report.
type Download struct {
	// Name is vendor/package.
	Name string `json:"name"`
	// Version is in normal form.
	Version string `json:"version"`
}

// ReadDownloads reads the body that clients post to notify-batch after an installation:
// {"downloads":[{"name":"acme/log","version":"1.2.0.0"}]}. Entries are checked, other members ignored.
func ReadDownloads(body []byte) ([]Download, error) {
	var report struct {
		Downloads []Download `json:"downloads"`
	}
	if err := json.Unmarshal(body, &report); err != nil {
		return nil, fmt.Errorf("report of downloads: %w", err)
	}
	if len(report.Downloads) == 0 {
		return nil, errors.New(`report of downloads: "downloads" is missing or empty`)
	}
	if len(report.Downloads) > MaxDownloads {
		return nil, fmt.Errorf("report of downloads: more than %d entries", MaxDownloads)
	}
	for i, d := range report.Downloads {
		if err := CheckPackageName(d.Name); err != nil {
			return nil, fmt.Errorf("report of downloads: entry %d: %w", i+1, err)
		}
		if _, err := Normalize(d.Version); err != nil {
			return nil, fmt.Errorf("report of downloads: entry %d: %w", i+1, err)
		}
	}
	return report.Downloads, nil
}

package fetch

// job is what the child process reads on standard input: one of Fetch, Resolve, Download and Tag.
type job struct {
	Fetch    *Request  `json:"fetch,omitempty"`
	Resolve  *Request  `json:"resolve,omitempty"`
	Download *Download `json:"download,omitempty"`
	Tag      *tagJob   `json:"tag,omitempty"`
	// Dir is the folder to fill, Scratch a folder for the child's own files, which it
	// makes and its parent removes.
	Dir        string `json:"dir"`
	Scratch    string `json:"scratch"`
	Policy     Policy `json:"policy"`
	KnownHosts string `json:"known_hosts"`
}

// outcome is what it writes on standard output.
type outcome struct {
	Result   *Result  `json:"result,omitempty"`
	Commit   string   `json:"commit,omitempty"`
	NewHosts []string `json:"new_hosts,omitempty"`
	Error    *Error   `json:"error,omitempty"`
}

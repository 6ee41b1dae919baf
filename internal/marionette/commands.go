package marionette

import "context"

// Context is where scripts run and whose picture is taken.
type Context string

const (
	Content Context = "content" // the page
	Chrome  Context = "chrome"  // Firefox itself; needs --remote-allow-system-access
)

// SetContext chooses where the commands after it work. It is Content at the beginning.
func (s *Session) SetContext(ctx context.Context, where Context) error {
	return s.call(ctx, "Marionette:SetContext", map[string]any{"value": where}, nil)
}

// Navigate opens a page, and returns when it is loaded, or when Firefox asks something.
func (s *Session) Navigate(ctx context.Context, url string) error {
	return s.call(ctx, "WebDriver:Navigate", map[string]any{"url": url}, nil)
}

const executeScript = "WebDriver:ExecuteScript"

// Execute runs the body of a JavaScript function, which finds the arguments in
// arguments. What it returns, or the promise that it returns, is read into result,
// which may be nil.
func (s *Session) Execute(ctx context.Context, script string, result any, arguments ...any) error {
	if arguments == nil {
		arguments = []any{}
	}
	answer := struct{ Value any }{result}
	return s.call(ctx, executeScript, map[string]any{"script": script, "args": arguments}, &answer)
}

// Screenshot is a picture of the page, or of the window in the context Chrome, as PNG.
func (s *Session) Screenshot(ctx context.Context) ([]byte, error) {
	var answer struct{ Value []byte } // base64
	err := s.call(ctx, "WebDriver:TakeScreenshot", map[string]any{"full": false}, &answer)
	return answer.Value, err
}

// Quit ends Firefox, and the connection.
func (s *Session) Quit(ctx context.Context) error {
	err := s.call(ctx, "Marionette:Quit", map[string]any{"flags": []string{"eForceQuit"}}, nil)
	_ = s.Close() // Firefox ends it too
	return err
}

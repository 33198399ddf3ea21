// Package asrgateway is the Go client of the speech-recognition gateway: live audio in, text out.
package asrgateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	pb "asrgateway/asrgatewayv1"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Calls take turns among all addresses of a target. A call is sent again, audio included, as long as no response
// header came: the gateway has not begun it.
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{"service": "asrgateway.v1.SpeechRecognitionService"}],
    "retryPolicy": {
      "maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]
    }
  }]
}`

// Options of a client. The zero value is a connection in plain text, without a key, whose calls survive a restart of
// the gateway.
type Options struct {
	APIKey string      // sent with every call; without TLS others may read it on the way
	TLS    *tls.Config // nil: plain text
	// NoReconnect ends a call with the first error.
	NoReconnect bool
	// GiveUp is how long a call looks for a gateway that answers before it ends with the last error; 0: 60 s.
	GiveUp time.Duration
	// Keep is how much audio without a final result is kept, to be sent again in a new call; 0: 60 s.
	Keep time.Duration
	// OnRetry is called before each wait for a new attempt; may be nil.
	OnRetry func(failure *Error, wait time.Duration)
	// Dial is added to the gRPC options, and overrides them.
	Dial []grpc.DialOption
}

// Client is a connection to one gateway, or to several behind one name, for any number of calls at the same time.
type Client struct {
	options    Options
	connection *grpc.ClientConn
	service    pb.SpeechRecognitionServiceClient
}

// NewClient returns a client that connects with its first call. The target is host:port, or another name that gRPC
// resolves.
func NewClient(target string, options Options) (*Client, error) {
	if strings.ContainsFunc(options.APIKey, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("the API key must consist of ASCII letters, digits and signs, without blanks")
	}
	if options.GiveUp == 0 {
		options.GiveUp = time.Minute
	}
	if options.Keep == 0 {
		options.Keep = time.Minute
	}
	connection, err := grpc.NewClient(target, append(dialOptions(options.TLS), options.Dial...)...)
	if err != nil {
		return nil, err
	}
	return &Client{options, connection, pb.NewSpeechRecognitionServiceClient(connection)}, nil
}

func dialOptions(config *tls.Config) []grpc.DialOption {
	transport := insecure.NewCredentials()
	if config != nil {
		transport = credentials.NewTLS(config)
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(serviceConfig),
		// A speaker may be silent for long: pings keep proxies from dropping the quiet connection.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		// A gateway that is back, or new, is found before the next one stops.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 250 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
	}
}

// Close closes the connection; open calls end.
func (c *Client) Close() error { return c.connection.Close() }

// ListModels returns the models and their aliases.
func (c *Client) ListModels(ctx context.Context) (*pb.ListModelsResponse, error) {
	response, err := c.service.ListModels(c.withKey(ctx), &pb.ListModelsRequest{})
	if err != nil {
		return nil, errorOf(err)
	}
	return response, nil
}

func (c *Client) withKey(ctx context.Context) context.Context {
	if c.options.APIKey == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.options.APIKey)
}

// Error is a status other than OK, with the details that the gateway sent.
type Error struct {
	Code       codes.Code
	Message    string            // what went wrong, in a sentence
	Reason     string            // the gateway's name for the cause, or empty
	Field      string            // path of the field to correct, or empty
	RetryAfter *time.Duration    // when to try again; nil if the gateway does not say
	Metadata   map[string]string // more about the cause
}

// Error returns code, message, and the known facts about the cause, in one line.
func (e *Error) Error() string {
	facts := []string{}
	for _, fact := range [][2]string{{"field", e.Field}, {"reason", e.Reason}} {
		if fact[1] != "" {
			facts = append(facts, fact[0]+": "+fact[1])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Metadata)) {
		facts = append(facts, name+": "+e.Metadata[name])
	}
	line := code.Code(e.Code).String() + ": " + e.Message
	if len(facts) > 0 {
		line += " (" + strings.Join(facts, ", ") + ")"
	}
	return line
}

func errorOf(err error) *Error {
	from := status.Convert(err)
	result := &Error{Code: from.Code(), Message: from.Message()}
	for _, detail := range from.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			result.Reason, result.Metadata = detail.Reason, detail.Metadata
		case *errdetails.BadRequest:
			if len(detail.FieldViolations) > 0 {
				result.Field = detail.FieldViolations[0].Field
			}
		case *errdetails.RetryInfo:
			delay := detail.RetryDelay.AsDuration()
			result.RetryAfter = &delay
		}
	}
	return result
}

// isRetryable says whether another gateway, or the same one later, may continue the call. A connection that is lost
// ends a call with UNAVAILABLE, or with CANCELLED if the gateway was killed at that moment.
func (e *Error) isRetryable() bool {
	switch e.Code {
	case codes.Unavailable, codes.Canceled:
		return true
	case codes.ResourceExhausted:
		return e.RetryAfter != nil
	}
	return false
}

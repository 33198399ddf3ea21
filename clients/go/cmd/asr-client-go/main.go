// Command asr-client-go sends recordings to the speech-recognition gateway and prints the text.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"asrgateway"
	pb "asrgateway/asrgatewayv1"
)

const (
	ok, failed, unusable, interrupted = 0, 1, 2, 130

	messagesPerSecond = 10
	usage             = `usage: asr-client-go [OPTION]... FILE...

Sends WAV files at speaking speed, all at the same time, and prints one line for each final result; with more than one
file it begins with the number of the file, from 0. The file - is raw 16-bit mono audio from standard input.

`
)

// command is what the arguments say.
type command struct {
	target, model, language, ca, keyFile string
	rate                                 int
	timeout                              float64
	isFast, isTLS, noReconnect           bool
	files                                []string
}

// recording is a file that can be sent.
type recording struct {
	format *pb.DecodingConfig
	audio  io.Reader
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(arguments []string) int {
	given, err := parse(arguments)
	if errors.Is(err, flag.ErrHelp) {
		return ok
	}
	if err != nil {
		return unusable // The flag package has said why.
	}
	report := newReport(os.Stdout, os.Stderr, len(given.files))
	defer report.close()
	client, recordings, err := given.open(report)
	if err != nil {
		report.complain(err.Error())
		return unusable
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if !recognizeAll(ctx, client, given, recordings, report) {
		if ctx.Err() != nil {
			return interrupted
		}
		return failed
	}
	return ok
}

func parse(arguments []string) (command, error) {
	var given command
	flags := flag.NewFlagSet("asr-client-go", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&given.target, "target", "127.0.0.1:50051", "the gateway, `HOST:PORT`")
	flags.StringVar(&given.model, "model", "", "the model `M`, or an alias; default: the gateway's")
	flags.StringVar(&given.language, "language", "", "the language `L` that is spoken, such as en-US")
	flags.IntVar(&given.rate, "rate", 16000, "samples per second of raw audio, in `HZ`")
	flags.BoolVar(&given.isFast, "fast", false, "send as fast as the gateway accepts it")
	flags.Float64Var(&given.timeout, "timeout", 0, "end the calls after `S` seconds; 0: never")
	flags.BoolVar(&given.isTLS, "tls", false, "encrypt the connection")
	flags.StringVar(&given.ca, "ca", "", "trust the authorities in this PEM `FILE` only; implies --tls")
	flags.StringVar(&given.keyFile, "api-key-file", "", "read the key from `FILE`; default: the variable ASR_API_KEY")
	flags.BoolVar(&given.noReconnect, "no-reconnect", false, "end with the first error of a gateway")
	// Options may follow files.
	for rest := arguments; ; rest = flags.Args()[1:] {
		if err := flags.Parse(rest); err != nil {
			return given, err
		}
		if flags.NArg() == 0 {
			break
		}
		given.files = append(given.files, flags.Arg(0))
	}
	return given, given.check(flags)
}

func (c command) check(flags *flag.FlagSet) error {
	message := ""
	switch {
	case len(c.files) == 0:
		message = "name at least one file"
	case c.rate < 4000 || c.rate > 192000:
		message = "--rate is from 4000 to 192000"
	case c.timeout < 0:
		message = "--timeout is not negative"
	}
	if message == "" {
		return nil
	}
	fmt.Fprintf(flags.Output(), "asr-client-go: %s; --help lists the options\n", message)
	return errors.New(message)
}

func (c command) open(report *report) (*asrgateway.Client, []recording, error) {
	recordings := make([]recording, len(c.files))
	for i, name := range c.files {
		var err error
		if recordings[i], err = openRecording(name, c.rate); err != nil {
			return nil, nil, err
		}
	}
	key, err := c.key()
	if err != nil {
		return nil, nil, err
	}
	encryption, err := c.encryption()
	if err != nil {
		return nil, nil, err
	}
	client, err := asrgateway.NewClient(c.target, asrgateway.Options{
		APIKey:      key,
		TLS:         encryption,
		NoReconnect: c.noReconnect,
		OnRetry: func(failure *asrgateway.Error, wait time.Duration) {
			report.note(fmt.Sprintf("warning: %v; trying again in %.1f s", failure, wait.Seconds()))
		},
	})
	return client, recordings, err
}

func openRecording(name string, rate int) (recording, error) {
	if name == "-" {
		return recording{asrgateway.Linear16(rate, 1), os.Stdin}, nil
	}
	file, err := os.Open(name) // Open until the program ends.
	if err != nil {
		return recording{}, err
	}
	format, audio, err := asrgateway.ReadWAV(file)
	if err != nil {
		return recording{}, fmt.Errorf("%s: %w", name, err)
	}
	return recording{format, audio}, nil
}

func (c command) key() (string, error) {
	if c.keyFile == "" {
		return os.Getenv("ASR_API_KEY"), nil
	}
	content, err := os.ReadFile(c.keyFile)
	return strings.TrimSpace(string(content)), err
}

func (c command) encryption() (*tls.Config, error) {
	if c.ca == "" {
		if c.isTLS {
			return &tls.Config{}, nil
		}
		return nil, nil
	}
	content, err := os.ReadFile(c.ca)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s: it holds no PEM certificate", c.ca)
	}
	return &tls.Config{RootCAs: authorities}, nil
}

// recognizeAll runs one call for each recording and says whether all ended well.
func recognizeAll(ctx context.Context, client *asrgateway.Client, given command, recordings []recording, report *report) bool {
	if given.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(given.timeout*float64(time.Second)))
		defer cancel()
	}
	var calls sync.WaitGroup
	var failures atomic.Int32
	for number, one := range recordings {
		calls.Add(1)
		go func() {
			defer calls.Done()
			if err := recognize(ctx, client, given, one, report.call(number)); err != nil {
				failures.Add(1)
				report.failed(number, err, ctx)
			}
		}()
	}
	calls.Wait()
	return failures.Load() == 0
}

func recognize(ctx context.Context, client *asrgateway.Client, given command, one recording, report *callReport) error {
	config := &pb.StreamingConfig{Model: given.model, DecodingConfig: one.format, InterimResults: true}
	if given.language != "" {
		config.LanguageCodes = []string{given.language}
	}
	call := client.Recognize(ctx, config)
	sent := make(chan error, 1)
	// Its owner is the call: it ends with it, unless standard input blocks, which the end of the program ends.
	go func() { sent <- send(call, one, given.isFast, report) }()
	for {
		response, err := call.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return unreadable(sent, err)
		}
		report.received(response)
	}
}

// unreadable returns why the recording could not be read, if that is what ended the call.
func unreadable(sent <-chan error, err error) error {
	select {
	case reason := <-sent:
		if reason != nil {
			return reason
		}
	default:
	}
	return err
}

// send sends a recording, message n at n tenths of a second after the first one.
func send(call *asrgateway.Call, one recording, isFast bool, report *callReport) error {
	frameBytes := 2 * int(one.format.GetAudioChannelCount())
	size := max(1, int(one.format.GetSampleRateHertz())/messagesPerSecond) * frameBytes
	begin := time.Now()
	for number := 0; ; number++ {
		message := make([]byte, size)
		count, err := io.ReadFull(one.audio, message)
		if !isFast {
			time.Sleep(time.Until(begin.Add(time.Duration(number) * time.Second / messagesPerSecond)))
		}
		if count > 0 && call.Send(message[:count]) != nil {
			return nil // Recv returns the reason.
		}
		report.sent()
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			report.closed()
			call.CloseSend()
			return nil
		}
		if err != nil {
			call.Cancel()
			return err
		}
	}
}

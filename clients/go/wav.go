package asrgateway

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	pb "asrgateway/asrgatewayv1"
)

const pcmTag, extensibleTag = 1, 0xFFFE

// ReadWAV reads the header of a WAV file with 16-bit PCM samples, and returns their format and the samples, which can
// be sent as LINEAR16.
func ReadWAV(file io.Reader) (*pb.DecodingConfig, io.Reader, error) {
	reader := bufio.NewReader(file)
	start := make([]byte, 12)
	if _, err := io.ReadFull(reader, start); err != nil || string(start[:4]) != "RIFF" || string(start[8:]) != "WAVE" {
		return nil, nil, errors.New("it is not a WAV file")
	}
	var config *pb.DecodingConfig
	for {
		header := make([]byte, 8)
		if _, err := io.ReadFull(reader, header); err != nil {
			return nil, nil, errors.New("it ends inside its header")
		}
		name, size := string(header[:4]), int64(binary.LittleEndian.Uint32(header[4:]))
		switch {
		case name == "data" && config == nil:
			return nil, nil, errors.New("its header has no format")
		case name == "data":
			return config, samples(reader, size), nil
		case name == "fmt " && size >= 16 && size < 1<<16:
			body := make([]byte, size+size%2)
			if _, err := io.ReadFull(reader, body); err != nil {
				return nil, nil, errors.New("it ends inside its header")
			}
			var err error
			if config, err = formatIn(body); err != nil {
				return nil, nil, err
			}
		default:
			if _, err := io.CopyN(io.Discard, reader, size+size%2); err != nil {
				return nil, nil, errors.New("it ends inside its header")
			}
		}
	}
}

// samples ends where the header says; a recorder that could not rewrite its header left 0 or the largest number there.
func samples(reader io.Reader, size int64) io.Reader {
	if size == 0 || size >= 0xFFFFFF00 {
		return reader
	}
	return io.LimitReader(reader, size)
}

func formatIn(body []byte) (*pb.DecodingConfig, error) {
	number := binary.LittleEndian
	tag, bits := number.Uint16(body), number.Uint16(body[14:])
	if tag == extensibleTag && len(body) >= 26 {
		tag = number.Uint16(body[24:])
	}
	if tag != pcmTag || bits != 16 {
		return nil, errors.New("its samples are not 16-bit PCM")
	}
	return Linear16(int(number.Uint32(body[4:])), int(number.Uint16(body[2:]))), nil
}

// Linear16 describes 16-bit little-endian samples without a header.
func Linear16(sampleRateHertz, channels int) *pb.DecodingConfig {
	rate, count := int32(sampleRateHertz), int32(channels)
	return &pb.DecodingConfig{
		Encoding:          pb.AudioEncoding_AUDIO_ENCODING_LINEAR16,
		SampleRateHertz:   &rate,
		AudioChannelCount: &count,
	}
}

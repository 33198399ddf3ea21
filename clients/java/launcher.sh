#!/bin/sh
# Runs the jar beside this file; the flags make a short program start sooner.
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -jar "$(dirname "$0")/asr-client-java.jar" "$@"

"""``python -m dashscope_emulator``: the emulator in a process of its own."""

from dashscope_emulator.command import main

if __name__ == "__main__":
    main()

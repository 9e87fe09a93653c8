"""All compiled code: arrays and integer codes in, arrays out; imports nothing of fastgrad outside this folder."""

<?php

require __DIR__ . '/signer.php';

foreach (file('php://stdin', FILE_IGNORE_NEW_LINES) as $line) {
    echo sign(...array_map('hex2bin', explode(' ', $line))), "\n";
}

<?php

// Signs the vectors of a file with the PHP signer: `drive.php SIGNER VECTORS` prints a JSON list of URLs and refusals.

declare(strict_types=1);

[, $signer, $vectors] = $argv;
require $signer;
$document = json_decode(file_get_contents($vectors), true, flags: JSON_THROW_ON_ERROR);
$names = ['not_before' => 'notBefore', 'transform_hash' => 'transformHash'];
$results = [];
foreach ($document['vectors'] as $vector) {
    $key = $document['keys'][$vector['key']];
    $options = [];
    foreach ($vector['options'] as $name => $value) {
        $options[$names[$name] ?? $name] = $value;
    }
    try {
        $made = new CountermarkSigner(
            kid: $key['kid'],
            audience: $vector['audience'],
            secret: $key['secret'] ?? null,
            privateKey: $key['private_key'] ?? null,
            base: $vector['base'],
        );
        $results[] = ['url' => $made->url($vector['path'], $vector['operations'], ...$options)];
    } catch (InvalidArgumentException $refused) {
        $results[] = ['refused' => $refused->getMessage()];
    }
}
echo json_encode($results, JSON_THROW_ON_ERROR);

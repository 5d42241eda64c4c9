// oidc-provider as a platform: what it issues says that a pipeline of the main branch runs.
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const [port, audience, subject] = process.argv.slice(2);
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'one' };

const provider = new Provider(`http://localhost:${port}`, {
  jwks: { keys: [key] },
  clients: [{
    client_id: 'client', client_secret: 'secret', grant_types: ['client_credentials'],
    redirect_uris: [], response_types: [],
  }],
  scopes: ['any'],
  ttl: { ClientCredentials: 300 },
  formats: {
    customizers: {
      // It is changed in place: what is returned is not looked at.
      jwt(_context, _token, jwt) {
        jwt.header = { ...jwt.header, typ: 'JWT' };
        jwt.payload.sub = subject;
      },
    },
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: 'any', audience, accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});
provider.listen(Number(port), '127.0.0.1');
